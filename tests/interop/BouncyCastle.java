// Signs, verifies, encrypts and decrypts whole messages with Bouncy Castle's S/MIME API.
// One request a line on standard input, its words parted by tabs; one line answers each.

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import javax.mail.Session;
import javax.mail.internet.MimeBodyPart;
import javax.mail.internet.MimeMessage;
import javax.mail.internet.MimeMultipart;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoGeneratorBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientId;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.mail.smime.SMIMEEnveloped;
import org.bouncycastle.mail.smime.SMIMEEnvelopedGenerator;
import org.bouncycastle.mail.smime.SMIMESigned;
import org.bouncycastle.mail.smime.SMIMESignedGenerator;
import org.bouncycastle.mail.smime.validator.SignedMailValidator;

public class BouncyCastle {
    static final Session SESSION = Session.getInstance(new Properties());

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = requests.readLine()) != null; ) {
            String answer;
            try {
                List<String> words = Arrays.asList(line.split("\t", -1));
                answer = "ok\t" + answer(words.get(0), words.subList(1, words.size()));
            } catch (Exception | Error problem) {
                answer = "error\t" + problem.toString().replaceAll("\\s+", " ");
            }
            System.out.println(answer);
            System.out.flush();
        }
    }

    static String answer(String verb, List<String> words) throws Exception {
        switch (verb) {
            case "verify": return verify(words.get(0), words.get(1), words.get(2));
            case "sign": return sign(words.get(0), words.get(1), words.get(2), words.subList(3, words.size()));
            case "encrypt": return encrypt(words.get(0), words.get(1), words.get(2), words.get(3), words.subList(4, words.size()));
            case "decrypt": return decrypt(words.get(0), words.get(1), words.get(2), words.get(3));
            case "version": return new BouncyCastleProvider().getVersionStr();
            default: return Algorithms.answer(verb, words);
        }
    }

    /** verify MESSAGE ROOT OUT: a line with subject, signature and chain of each signer. */
    static String verify(String path, String root, String out) throws Exception {
        MimeMessage message = message(path);
        SMIMESigned signed = message.isMimeType("multipart/signed")
            ? new SMIMESigned((MimeMultipart) message.getContent())
            : new SMIMESigned(message);
        PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(certificate(root), null)));
        parameters.setRevocationEnabled(false);
        SignedMailValidator validator = new SignedMailValidator(message, parameters);
        StringBuilder found = new StringBuilder();
        for (SignerInformation signer : validator.getSignerInformationStore().getSigners()) {
            for (Object match : signed.getCertificates().getMatches(signer.getSID())) {
                X509CertificateHolder certificate = (X509CertificateHolder) match;
                boolean valid;
                try {
                    valid = signer.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(certificate));
                } catch (org.bouncycastle.cms.CMSException problem) {
                    valid = false;
                }
                SignedMailValidator.ValidationResult result = validator.getValidationResult(signer);
                found.append(certificate.getSubject()).append(valid ? " good" : " bad")
                    .append(result.isValidSignature() ? " valid" : " invalid").append(";");
            }
        }
        try (FileOutputStream stream = new FileOutputStream(out)) {
            signed.getContent().writeTo(stream);
        }
        return found.toString();
    }

    /** sign ENTITY OUT OPTIONS (KEY CERTIFICATE ALGORITHM)… -- CERTIFICATE… */
    static String sign(String path, String out, String options, List<String> words) throws Exception {
        int end = words.indexOf("--");
        SMIMESignedGenerator generator = new SMIMESignedGenerator();
        List<X509Certificate> certificates = new ArrayList<>();
        for (int at = 0; at < end; at += 3) {
            X509Certificate certificate = certificate(words.get(at + 1));
            PrivateKey key = key(words.get(at), certificate.getPublicKey().getAlgorithm());
            JcaSimpleSignerInfoGeneratorBuilder builder = new JcaSimpleSignerInfoGeneratorBuilder().setProvider("BC");
            builder.setDirectSignature(options.contains("direct"));
            if (options.contains("ski")) {
                byte[] identifier = org.bouncycastle.asn1.x509.SubjectKeyIdentifier.fromExtensions(
                    new X509CertificateHolder(certificate.getEncoded()).getExtensions()).getKeyIdentifier();
                generator.addSignerInfoGenerator(builder.build(words.get(at + 2), key, identifier));
            } else {
                generator.addSignerInfoGenerator(builder.build(words.get(at + 2), key, certificate));
            }
            certificates.add(certificate);
        }
        for (String name : words.subList(end + 1, words.size())) {
            certificates.add(certificate(name));
        }
        generator.addCertificates(new JcaCertStore(certificates));
        MimeBodyPart part = entity(path);
        MimeMessage message = new MimeMessage(SESSION);
        if (options.contains("opaque")) {
            MimeBodyPart made = generator.generateEncapsulated(part);
            message.setContent(made.getContent(), made.getContentType());
            for (var header : java.util.Collections.list(made.getAllHeaders())) {
                message.setHeader(header.getName(), header.getValue());
            }
        } else {
            message.setContent(generator.generate(part));
        }
        return written(message, out);
    }

    /** encrypt ENTITY OUT CIPHER OPTIONS CERTIFICATE… */
    static String encrypt(String path, String out, String cipher, String options, List<String> readers) throws Exception {
        SMIMEEnvelopedGenerator generator = new SMIMEEnvelopedGenerator();
        generator.setBerEncodeRecipients(options.contains("ber"));
        for (String reader : readers) {
            X509Certificate certificate = certificate(reader);
            JceKeyTransRecipientInfoGenerator recipient = options.contains("ski")
                ? new JceKeyTransRecipientInfoGenerator(
                    org.bouncycastle.asn1.x509.SubjectKeyIdentifier.fromExtensions(
                        new X509CertificateHolder(certificate.getEncoded()).getExtensions()).getKeyIdentifier(),
                    certificate.getPublicKey())
                : new JceKeyTransRecipientInfoGenerator(certificate);
            generator.addRecipientInfoGenerator(recipient.setProvider("BC"));
        }
        MimeBodyPart made = generator.generate(
            entity(path),
            new JceCMSContentEncryptorBuilder(new ASN1ObjectIdentifier(cipher)).setProvider("BC").build());
        MimeMessage message = new MimeMessage(SESSION);
        message.setContent(made.getContent(), made.getContentType());
        for (var header : java.util.Collections.list(made.getAllHeaders())) {
            message.setHeader(header.getName(), header.getValue());
        }
        return written(message, out);
    }

    /** decrypt MESSAGE OUT KEY CERTIFICATE */
    static String decrypt(String path, String out, String key, String reader) throws Exception {
        SMIMEEnveloped enveloped = new SMIMEEnveloped(message(path));
        RecipientInformation recipient =
            enveloped.getRecipientInfos().get(new JceKeyTransRecipientId(certificate(reader)));
        if (recipient == null) {
            throw new IllegalArgumentException("no recipient");
        }
        byte[] content = recipient.getContent(
            new JceKeyTransEnvelopedRecipient(key(key, "RSA")).setProvider("BC"));
        Files.write(Path.of(out), content);
        return enveloped.getEncryptionAlgOID();
    }

    static String written(MimeMessage message, String out) throws Exception {
        message.saveChanges();
        message.removeHeader("Message-ID");
        try (FileOutputStream stream = new FileOutputStream(out)) {
            message.writeTo(stream);
        }
        return "";
    }

    static MimeMessage message(String path) throws Exception {
        return new MimeMessage(SESSION, new ByteArrayInputStream(Files.readAllBytes(Path.of(path))));
    }

    static MimeBodyPart entity(String path) throws Exception {
        return new MimeBodyPart(new ByteArrayInputStream(Files.readAllBytes(Path.of(path))));
    }

    static X509Certificate certificate(String path) throws Exception {
        return (X509Certificate) CertificateFactory.getInstance("X.509", "BC")
            .generateCertificate(new ByteArrayInputStream(Files.readAllBytes(Path.of(path))));
    }

    static PrivateKey key(String path, String algorithm) throws Exception {
        return KeyFactory.getInstance(algorithm.equals("EC") ? "ECDSA" : algorithm, "BC")
            .generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(Path.of(path))));
    }
}
