"""Verifies an OpenSSF model signature by the calls that the reference implementation makes of `cryptography`.

Usage: verify_signature.py BUNDLE DIRECTORY key PUBLIC.pem | BUNDLE DIRECTORY certificate ROOT.pem
Prints `verified`, or the reason why not.
"""

import base64
import hashlib
import json
import pathlib
import sys

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HASHES = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}


def public_key(material, method, path):
    pem = pathlib.Path(path).read_bytes()
    if method == "key":
        key = serialization.load_pem_public_key(pem)
        text = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        if material["publicKey"]["hint"] != hashlib.sha256(text).hexdigest():
            raise ValueError("another key")
        return key
    chain = [
        x509.load_der_x509_certificate(base64.b64decode(item["rawBytes"], validate=True))
        for item in material["x509CertificateChain"]["certificates"]
    ]
    for certificate, issuer in zip(chain, [*chain[1:], x509.load_pem_x509_certificate(pem)]):
        certificate.verify_directly_issued_by(issuer)
    return chain[0].public_key()


def verify(bundle_path, directory, method, path):
    bundle = json.loads(pathlib.Path(bundle_path).read_text())
    if bundle["mediaType"] != "application/vnd.dev.sigstore.bundle.v0.3+json":
        raise ValueError("another media type")
    key = public_key(bundle["verificationMaterial"], method, path)
    envelope = bundle["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"], validate=True)
    payload_type = envelope["payloadType"]
    encoded = f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} ".encode() + payload
    key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), encoded, ec.ECDSA(HASHES[key.key_size]))

    statement = json.loads(payload)
    if statement["predicateType"] != "https://model_signing/signature/v1.0":
        raise ValueError("another predicate")
    resources = statement["predicate"]["resources"]
    root = hashlib.sha256(b"".join(bytes.fromhex(item["digest"]) for item in resources)).hexdigest()
    if statement["subject"][0]["digest"]["sha256"] != root:
        raise ValueError("another root digest")
    base = pathlib.Path(directory)
    ignored = {base / name for name in statement["predicate"]["serialization"].get("ignore_paths", [])}
    actual = {
        file.relative_to(base).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in base.glob("**/*")
        if file.is_file() and not any(file.is_relative_to(path) for path in ignored)
    }
    if actual != {item["name"]: item["digest"] for item in resources}:
        raise ValueError("other files")


try:
    verify(*sys.argv[1:])
    print("verified")
except (ValueError, KeyError, InvalidSignature) as error:
    print(f"not verified: {type(error).__name__} {error}")
