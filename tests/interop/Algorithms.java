// Signs, verifies, encrypts and decrypts bare CMS objects with Bouncy Castle, algorithm by algorithm.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.security.spec.AlgorithmParameterSpec;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PSSParameterSpec;
import java.util.ArrayList;
import java.util.Hashtable;
import java.util.List;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.asn1.ASN1Encoding;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.DERUTF8String;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.cms.AttributeTable;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.SubjectKeyIdentifier;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSAuthEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSCompressedData;
import org.bouncycastle.cms.CMSCompressedDataGenerator;
import org.bouncycastle.cms.CMSCompressedDataStreamGenerator;
import org.bouncycastle.cms.CMSEnvelopedData;
import org.bouncycastle.cms.CMSEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.KeyAgreeRecipientInformation;
import org.bouncycastle.cms.PasswordRecipient;
import org.bouncycastle.cms.Recipient;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.RecipientInformationStore;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.SimpleAttributeTableGenerator;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKEKRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyAgreeEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JcePasswordRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.ZlibCompressor;
import org.bouncycastle.cms.jcajce.ZlibExpanderProvider;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.operator.jcajce.JcaAlgorithmParametersConverter;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;

class Algorithms {
    static final String BC = "BC";

    static String answer(String verb, List<String> words) throws Exception {
        byte[] given = Files.readAllBytes(Path.of(words.get(0)));
        Path out = Path.of(words.get(1));
        List<String> rest = words.subList(2, words.size());
        switch (verb) {
            case "cms-sign": Files.write(out, sign(given, rest)); return "";
            case "cms-verify": Files.write(out, verify(given, rest.get(0))); return "";
            case "cms-encrypt": Files.write(out, encrypt(given, rest)); return "";
            case "cms-decrypt": Files.write(out, decrypt(given, rest.get(0), rest.get(1))); return "";
            case "cms-compress": Files.write(out, compress(given, rest.contains("stream"))); return "";
            case "cms-expand": Files.write(out, new CMSCompressedData(given).getContent(new ZlibExpanderProvider())); return "";
            default: throw new IllegalArgumentException(verb);
        }
    }

    /** OPTIONS KEY CERTIFICATE ALGORITHM PSS CHAIN…; PSS is empty or DIGEST:MGF-DIGEST:SALT. */
    static byte[] sign(byte[] content, List<String> words) throws Exception {
        List<String> options = List.of(words.get(0).split(","));
        X509Certificate certificate = BouncyCastle.certificate(words.get(2));
        PrivateKey key = BouncyCastle.key(words.get(1), certificate.getPublicKey().getAlgorithm());
        String pss = words.get(4);
        JcaContentSignerBuilder builder = new JcaContentSignerBuilder(words.get(3));
        if (!pss.isEmpty()) {
            String[] of = pss.split(":");
            builder = new JcaContentSignerBuilder(words.get(3),
                new PSSParameterSpec(of[0], "MGF1", new MGF1ParameterSpec(of[1]), Integer.parseInt(of[2]), 1));
        }
        ContentSigner signer = builder.setProvider(BC).build(key);
        JcaSignerInfoGeneratorBuilder info = new JcaSignerInfoGeneratorBuilder(
            new JcaDigestCalculatorProviderBuilder().setProvider(BC).build());
        info.setDirectSignature(options.contains("direct"));
        CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
        generator.addSignerInfoGenerator(options.contains("ski")
            ? info.build(signer, identifier(certificate))
            : info.build(signer, certificate));
        List<X509Certificate> certificates = new ArrayList<>(List.of(certificate));
        for (String name : words.subList(5, words.size())) {
            certificates.add(BouncyCastle.certificate(name));
        }
        generator.addCertificates(new JcaCertStore(certificates));
        CMSSignedData made = generator.generate(new CMSProcessableByteArray(content), options.contains("opaque"));
        return made.toASN1Structure().getEncoded(options.contains("ber") ? ASN1Encoding.BER : ASN1Encoding.DER);
    }

    /** CONTENT, empty for opaque ones; all signatures must hold. */
    static byte[] verify(byte[] der, String content) throws Exception {
        CMSSignedData signed = content.isEmpty()
            ? new CMSSignedData(der)
            : new CMSSignedData(new CMSProcessableByteArray(Files.readAllBytes(Path.of(content))), der);
        int held = 0;
        for (SignerInformation signer : signed.getSignerInfos().getSigners()) {
            for (Object match : signed.getCertificates().getMatches(signer.getSID())) {
                if (!signer.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider(BC).build((X509CertificateHolder) match))) {
                    throw new SecurityException("signature does not hold");
                }
                held++;
            }
        }
        if (held == 0 || held != signed.getSignerInfos().size()) {
            throw new SecurityException("not every signature was verified");
        }
        ByteArrayOutputStream found = new ByteArrayOutputStream();
        signed.getSignedContent().write(found);
        return found.toByteArray();
    }

    /** STRUCTURE CIPHER BITS OPTIONS (CERTIFICATE TRANSPORT)… */
    static byte[] encrypt(byte[] content, List<String> words) throws Exception {
        List<String> options = List.of(words.get(3).split(","));
        List<RecipientInfoGenerator> recipients = new ArrayList<>();
        for (int at = 4; at < words.size(); at += 2) {
            recipients.add(recipient(words.get(at), words.get(at + 1).split(":", -1), options.contains("ski")));
        }
        int bits = Integer.parseInt(words.get(2));
        ASN1ObjectIdentifier cipher = new ASN1ObjectIdentifier(words.get(1));
        JceCMSContentEncryptorBuilder builder = bits == 0
            ? new JceCMSContentEncryptorBuilder(cipher)
            : new JceCMSContentEncryptorBuilder(cipher, bits);
        OutputEncryptor encryptor = builder.setProvider(BC).build();
        CMSProcessableByteArray given = new CMSProcessableByteArray(content);
        String encoding = options.contains("ber") ? ASN1Encoding.BER : ASN1Encoding.DER;
        if (words.get(0).equals("enveloped")) {
            CMSEnvelopedDataGenerator generator = new CMSEnvelopedDataGenerator();
            recipients.forEach(generator::addRecipientInfoGenerator);
            return generator.generate(given, encryptor).toASN1Structure().getEncoded(encoding);
        }
        CMSAuthEnvelopedDataGenerator generator = new CMSAuthEnvelopedDataGenerator();
        recipients.forEach(generator::addRecipientInfoGenerator);
        if (options.contains("attributes")) {
            Hashtable<ASN1ObjectIdentifier, Attribute> table = new Hashtable<>();
            table.put(PKCSObjectIdentifiers.id_aa_contentHint, new Attribute(
                PKCSObjectIdentifiers.id_aa_contentHint, new DERSet(new DERUTF8String("authenticated"))));
            generator.setAuthenticatedAttributeGenerator(new SimpleAttributeTableGenerator(new AttributeTable(table)));
        }
        return generator.generate(given, (OutputAEADEncryptor) encryptor).toASN1Structure().getEncoded(encoding);
    }

    static RecipientInfoGenerator recipient(String name, String[] transport, boolean ski) throws Exception {
        if (transport[0].equals("kek")) {
            byte[] secret = "0123456789abcdef".getBytes(StandardCharsets.US_ASCII);
            return new JceKEKRecipientInfoGenerator(
                name.getBytes(StandardCharsets.US_ASCII), new SecretKeySpec(secret, "AES")).setProvider(BC);
        }
        if (transport[0].equals("password")) {
            JcePasswordRecipientInfoGenerator made =
                new JcePasswordRecipientInfoGenerator(CMSAlgorithm.AES128_CBC, name.toCharArray()).setProvider(BC);
            made.setPRF(PasswordRecipient.PRF.HMacSHA256);
            return made;
        }
        X509Certificate certificate = BouncyCastle.certificate(name);
        if (transport[0].equals("ecdh")) {
            return agreement(certificate, transport, ski);
        }
        if (transport[0].equals("oaep")) {
            AlgorithmParameterSpec spec = new OAEPParameterSpec(transport[1], "MGF1", new MGF1ParameterSpec(transport[2]),
                new PSource.PSpecified(transport[3].getBytes(StandardCharsets.US_ASCII)));
            AlgorithmIdentifier oaep = new JcaAlgorithmParametersConverter()
                .getAlgorithmIdentifier(PKCSObjectIdentifiers.id_RSAES_OAEP, spec);
            return (ski
                ? new JceKeyTransRecipientInfoGenerator(identifier(certificate), oaep, certificate.getPublicKey())
                : new JceKeyTransRecipientInfoGenerator(certificate, oaep)).setProvider(BC);
        }
        return (ski
            ? new JceKeyTransRecipientInfoGenerator(identifier(certificate), certificate.getPublicKey())
            : new JceKeyTransRecipientInfoGenerator(certificate)).setProvider(BC);
    }

    /** ecdh:SCHEME:WRAP:UKM */
    static RecipientInfoGenerator agreement(X509Certificate certificate, String[] transport, boolean ski) throws Exception {
        SubjectPublicKeyInfo info = SubjectPublicKeyInfo.getInstance(certificate.getPublicKey().getEncoded());
        String algorithm = certificate.getPublicKey().getAlgorithm();
        KeyPairGenerator generator = KeyPairGenerator.getInstance(algorithm, BC);
        if (algorithm.startsWith("EC")) {
            String curve = ((ASN1ObjectIdentifier) info.getAlgorithm().getParameters()).getId();
            generator.initialize(new ECGenParameterSpec(curve));
        }
        KeyPair own = generator.generateKeyPair();
        JceKeyAgreeRecipientInfoGenerator made = new JceKeyAgreeRecipientInfoGenerator(
            new ASN1ObjectIdentifier(transport[1]), own.getPrivate(), own.getPublic(), new ASN1ObjectIdentifier(transport[2]));
        made.setProvider(BC);
        if (!transport[3].isEmpty()) {
            made.setUserKeyingMaterial(transport[3].getBytes(StandardCharsets.US_ASCII));
        }
        return ski
            ? made.addRecipient(identifier(certificate), certificate.getPublicKey())
            : made.addRecipient(certificate);
    }

    /** Opens the one recipientInfo that matches the certificate, by whatever it is named. */
    static byte[] decrypt(byte[] der, String keyPath, String certificatePath) throws Exception {
        X509CertificateHolder certificate = new X509CertificateHolder(Files.readAllBytes(Path.of(certificatePath)));
        PrivateKey key = BouncyCastle.key(
            keyPath, BouncyCastle.certificate(certificatePath).getPublicKey().getAlgorithm());
        boolean authenticated = org.bouncycastle.asn1.cms.ContentInfo.getInstance(der).getContentType()
            .equals(PKCSObjectIdentifiers.id_ct_authEnvelopedData);
        RecipientInformationStore recipients = authenticated
            ? new CMSAuthEnvelopedData(der).getRecipientInfos()
            : new CMSEnvelopedData(der).getRecipientInfos();
        for (RecipientInformation recipient : recipients.getRecipients()) {
            if (!recipient.getRID().match(certificate)) {
                continue;
            }
            Recipient opener;
            if (recipient instanceof KeyAgreeRecipientInformation) {
                opener = new JceKeyAgreeEnvelopedRecipient(key).setProvider(BC);
            } else if (authenticated) {
                opener = new JceKeyTransAuthEnvelopedRecipient(key).setProvider(BC);
            } else {
                opener = new JceKeyTransEnvelopedRecipient(key).setProvider(BC);
            }
            return recipient.getContent(opener);
        }
        throw new IllegalArgumentException("no recipient");
    }

    static byte[] compress(byte[] content, boolean stream) throws Exception {
        if (!stream) {
            return new CMSCompressedDataGenerator()
                .generate(new CMSProcessableByteArray(content), new ZlibCompressor()).getEncoded();
        }
        ByteArrayOutputStream made = new ByteArrayOutputStream();
        try (OutputStream open = new CMSCompressedDataStreamGenerator().open(made, new ZlibCompressor())) {
            open.write(content);
        }
        return made.toByteArray();
    }

    static byte[] identifier(X509Certificate certificate) throws Exception {
        return SubjectKeyIdentifier.fromExtensions(
            new X509CertificateHolder(certificate.getEncoded()).getExtensions()).getKeyIdentifier();
    }
}
