import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.bouncycastle.cms.CMSCompressedDataGenerator;
import org.bouncycastle.cms.CMSCompressedDataStreamGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.jcajce.ZlibCompressor;

/** Writes CompressedData of a file, whole and as a stream: `in`, `whole`, `stream`. */
final class Compressed {
    public static void main(String[] names) throws Exception {
        byte[] content = Files.readAllBytes(Path.of(names[0]));
        var whole = new CMSCompressedDataGenerator()
                .generate(new CMSProcessableByteArray(content), new ZlibCompressor());
        Files.write(Path.of(names[1]), whole.getEncoded());
        var octets = new ByteArrayOutputStream();
        try (OutputStream stream =
                new CMSCompressedDataStreamGenerator().open(octets, new ZlibCompressor())) {
            stream.write(content);
        }
        Files.write(Path.of(names[2]), octets.toByteArray());
    }
}
