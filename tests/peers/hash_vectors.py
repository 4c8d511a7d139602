#!/usr/bin/env python3
"""Makes tests/corpus/h-hashes.toml: stored secrets as the systems that people come from write them.

The libraries themselves do the hashing (argon2-cffi, bcrypt, passlib, Django). Where the system is not a Python one,
either the vector was published by its authors (Spring Security, ASP.NET Core), or it is computed with hashlib after the
documented layout; `library` says which. Every vector that can be checked with hashlib is, before it is written.

Salts come from a counter, so a second run writes the same file. Run by hand, when a format is added:

    python3 -m venv /tmp/vectors && /tmp/vectors/bin/pip install --no-deps -r tests/peers/hash_vectors.requirements.txt
    /tmp/vectors/bin/python tests/peers/hash_vectors.py >tests/corpus/h-hashes.toml
"""

import base64
import hashlib
import importlib.metadata
import json
import logging
import struct

import argon2.low_level
import bcrypt
import django.conf
import passlib.hash
from argon2.low_level import Type

# passlib looks for a version attribute that bcrypt no longer has, and says so at length.
logging.getLogger("passlib").setLevel(logging.CRITICAL)
django.conf.settings.configure()
from django.contrib.auth import hashers  # noqa: E402

VERSIONS = {name: f"{name} {importlib.metadata.version(name)}" for name in ("argon2-cffi", "bcrypt", "passlib", "Django")}
PLAIN = "Grünkohl & 100% + naïve-secret"
ASCII = "s3cret-of-billing-0123456789"
SEVENTY_TWO = "0123456789ab" * 6

vectors: list[dict[str, str]] = []
salts = 0


def salt(size: int) -> bytes:
    global salts
    salts += 1
    return hashlib.sha512(b"salt %d" % salts).digest()[:size]


def text_salt(size: int) -> str:
    return salt(size).hex()[:size]


def add(form: str, library: str, secret: str, written: str, wrong: str | None = None) -> None:
    # Of no format in particular: what matters is whether it may pass at all.
    form = form if secret else "empty"
    wrong = secret[:-1] + ("x" if secret[-1:] != "x" else "y") if wrong is None else wrong
    vectors.append({"format": form, "library": VERSIONS.get(library, library), "secret": secret, "hash": written, "wrong": wrong})


def raw64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def argon2s() -> None:
    def make(kind: Type, secret: str, t: int, m: int, p: int, size: int = 32, version: int = 19) -> str:
        made = argon2.low_level.hash_secret(secret.encode(), salt(16), t, m, p, size, kind, version)
        return made.decode()

    for kind, name in ((Type.ID, "argon2id"), (Type.I, "argon2i"), (Type.D, "argon2d")):
        for t, m, p in ((1, 8, 1), (3, 64, 2), (2, 1024, 4)):
            add(name, "argon2-cffi", PLAIN, make(kind, PLAIN, t, m, p))
    add("argon2id", "argon2-cffi", "", make(Type.ID, "", 1, 8, 1), "x")
    add("argon2id", "argon2-cffi", "long" * 250, make(Type.ID, "long" * 250, 1, 8, 1))
    add("argon2id", "argon2-cffi", ASCII, make(Type.ID, ASCII, 1, 16, 1, 16))
    add("argon2id", "argon2-cffi", ASCII, make(Type.ID, ASCII, 1, 16, 1, 64))
    # The default of the library.
    add("argon2id", "argon2-cffi", ASCII, make(Type.ID, ASCII, 3, 65536, 4))


def bcrypts() -> None:
    def make(secret: str, cost: int, prefix: bytes) -> str:
        # passlib writes 2y; the others come from the bcrypt package, with a salt of ours in its alphabet.
        if prefix == b"2y":
            made = passlib.hash.bcrypt.using(ident="2y", rounds=cost, salt=bcrypt_salt())
            return made.hash(secret)
        return bcrypt.hashpw(secret.encode(), b"$" + prefix + b"$%02d$" % cost + bcrypt_salt().encode()).decode()

    for prefix, library in ((b"2b", "bcrypt"), (b"2a", "bcrypt"), (b"2y", "passlib")):
        for secret, cost in ((PLAIN, 4), (ASCII, 5), (SEVENTY_TWO, 4)):
            add("bcrypt", library, secret, make(secret, cost, prefix))
    add("bcrypt", "bcrypt", "", make("", 4, b"2b"), "x")
    add("bcrypt", "bcrypt", ASCII, make(ASCII, 12, b"2b"))
    # What is beyond 72 bytes was never looked at: these two are one secret to the library.
    add("bcrypt-cut", "bcrypt", SEVENTY_TWO + "c", make(SEVENTY_TWO + "c", 4, b"2b"), "x" + SEVENTY_TWO)


def bcrypt_salt() -> str:
    # 22 characters hold 132 bits, of which the last four are unused and must be nought.
    return bcrypt_alphabet(salt(16))


def bcrypt_alphabet(data: bytes) -> str:
    standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    own = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return raw64(data).translate(str.maketrans(standard, own))


def passlibs() -> None:
    for name in ("pbkdf2_sha1", "pbkdf2_sha256", "pbkdf2_sha512"):
        handler = getattr(passlib.hash, name)
        for secret, rounds, size in ((PLAIN, 1, 16), (ASCII, 1000, 8), ("z" * 200, 2, 32)):
            add(name.replace("_", "-"), "passlib", secret, handler.using(rounds=rounds, salt=salt(size)).hash(secret))
        add(name.replace("_", "-"), "passlib", ASCII, handler.using(salt=salt(16)).hash(ASCII))
    add("pbkdf2-sha256", "passlib", "", passlib.hash.pbkdf2_sha256.using(rounds=1, salt=salt(16)).hash(""), "x")


def djangos() -> None:
    class Argon(hashers.Argon2PasswordHasher):
        time_cost, memory_cost, parallelism = 1, 16, 1

    class Bcrypt(hashers.BCryptSHA256PasswordHasher):
        rounds = 4

    for hasher in (hashers.PBKDF2PasswordHasher(), hashers.PBKDF2SHA1PasswordHasher()):
        for secret in (PLAIN, "y" * 100):
            add(f"django-{hasher.algorithm}", "Django", secret, hasher.encode(secret, text_salt(22), 10))
        add(f"django-{hasher.algorithm}", "Django", ASCII, hasher.encode(ASCII, text_salt(22)))
    for hasher, make_salt in ((Argon(), lambda: text_salt(22)), (Bcrypt(), lambda: b"$2b$04$" + bcrypt_salt().encode())):
        for secret in (PLAIN, "y" * 100):
            add(f"django-{hasher.algorithm}", "Django", secret, hasher.encode(secret, make_salt()))
    defaults = hashers.Argon2PasswordHasher()
    add("django-argon2", "Django", ASCII, defaults.encode(ASCII, text_salt(22)))
    strong = hashers.BCryptSHA256PasswordHasher()
    add("django-bcrypt_sha256", "Django", ASCII, strong.encode(ASCII, b"$2b$12$" + bcrypt_salt().encode()))


def orys() -> None:
    """`$pbkdf2-sha256$i=25000,l=32$salt$key`, both in unpadded standard base64. Ory's sha224 and sha384 are SHA-3."""
    library = "hashlib, after the layout of Ory Hydra"
    for name, rounds, size in (("sha1", 10, 20), ("sha256", 10, 32), ("sha512", 10, 64), ("sha512", 7, 32), ("sha256", 25000, 32)):
        for secret in (PLAIN, ASCII):
            used = salt(16)
            key = hashlib.pbkdf2_hmac(name, secret.encode(), used, rounds, size)
            add("ory-pbkdf2", library, secret, f"$pbkdf2-{name}$i={rounds},l={size}${raw64(used)}${raw64(key)}")


# https://docs.spring.io/spring-security/reference/features/authentication/password-storage.html
SPRING_BCRYPT = "{bcrypt}$2a$10$dXJ3SW6G7P50lGmMkkmwe.20cQQubK3.HZWzG3YB1tlRy.fqvM/BG"
SPRING_PBKDF2 = "5d923b44a6d129f3ddf3e3c8d29412723dcbde72445e8ef6bf3b508fbf17fa4ed4d6b99ca763d8dc"
SPRING_SHA256 = "97cde38028ad898ebc02e690819fa220e88c62e0699403e94fff291cfffaf8410849f27605abcbc0"
SPRING_SCRYPT = (
    "{scrypt}$e0801$8bWJaSu2IKSn9Z9kM+TPXfOc/9bdYSrN1oD9qfVThWEwdRTnO7re7Ei+fUZRJ68k9lTyuTeUp4of4g24hHnazw=="
    "$OAOec05+bXxvuu/1qZ6NUR+xQYvYv7BeL1QxwRpY5Pc="
)


def springs() -> None:
    published = "published by Spring Security"
    assert bcrypt.checkpw(b"password", SPRING_BCRYPT.removeprefix("{bcrypt}").encode())
    data = bytes.fromhex(SPRING_PBKDF2)
    assert hashlib.pbkdf2_hmac("sha1", b"password", data[:8], 185000, 32) == data[8:]
    data = bytes.fromhex(SPRING_SHA256)
    assert iterated(data[:8], b"password") == data[8:]
    add("spring-bcrypt", published, "password", SPRING_BCRYPT)
    add("spring-noop", published, "password", "{noop}password")
    add("spring-pbkdf2", published, "password", "{pbkdf2}" + SPRING_PBKDF2)
    add("spring-sha256", published, "password", "{sha256}" + SPRING_SHA256)

    library = "hashlib, after the layout of Spring Security"
    for secret in (PLAIN, ASCII):
        used = salt(8)
        add("spring-sha256", library, secret, "{sha256}" + (used + iterated(used, secret.encode())).hex())
    used = salt(8)
    key = hashlib.pbkdf2_hmac("sha1", ASCII.encode(), used, 185000, 32)
    add("spring-pbkdf2", library, ASCII, "{pbkdf2}" + (used + key).hex())
    used = salt(16)
    key = hashlib.pbkdf2_hmac("sha256", ASCII.encode(), used, 310000, 32)
    add("spring-pbkdf2", library, ASCII, "{pbkdf2@SpringSecurity_v5_8}" + (used + key).hex())
    made = argon2.low_level.hash_secret(ASCII.encode(), salt(16), 2, 16384, 1, 32, Type.ID).decode()
    add("spring-argon2", "argon2-cffi", ASCII, "{argon2@SpringSecurity_v5_8}" + made)


def iterated(used: bytes, secret: bytes) -> bytes:
    """Spring's StandardPasswordEncoder: SHA-256 of salt and secret, then of that, 1024 times in all."""
    digest = used + secret
    for _ in range(1024):
        digest = hashlib.sha256(digest).digest()
    return digest


# src/Identity/Extensions.Core/test/PasswordHasherTest.cs of dotnet/aspnetcore.
ASPNET = (
    "AQAAAAAAAAD6AAAAEAhftMyfTJylOlZT+eEotFXd1elee8ih5WsjXaR3PA9M",
    "AQAAAAEAA9CQAAAAIESkQuj2Du8Y+kbc5lcN/W/3NiAZFEm11P27nrSN5/tId+bR1SwV8CO1Jd72r4C08OLvplNlCDc3oQZ8efcW+jQ=",
    "AQAAAAIAAAAyAAAAEOMwvh3+FZxqkdMBz2ekgGhwQ4B6pZWND6zgESBuWiHw",
    "AQAAAAIAAAD6AAAAIJbVi5wbMR+htSfFp8fTw8N8GOS/Sje+S/4YZcgBfU7EQuqv4OkVYmc4VJl9AGZzmRTxSkP7LtVi9IWyUxX8IAAfZ8v+"
    "ZfhjCcudtC1YERSqE1OEdXLW9VukPuJWBBjLuw==",
)
PRF = ("sha1", "sha256", "sha512")


def aspnets() -> None:
    for blob in ASPNET:
        data = base64.b64decode(blob)
        kind, prf, rounds, size = struct.unpack(">BIII", data[:13])
        used, key = data[13 : 13 + size], data[13 + size :]
        assert kind == 1 and hashlib.pbkdf2_hmac(PRF[prf], b"my password", used, rounds, len(key)) == key
        add("aspnet-v3", "published by ASP.NET Core", "my password", blob)
    library = "hashlib, after the layout of ASP.NET Core Identity"
    for prf, name in enumerate(PRF):
        for secret, rounds in ((PLAIN, 10), (ASCII, 10_000)):
            used = salt(16)
            key = hashlib.pbkdf2_hmac(name, secret.encode(), used, rounds, 32)
            blob = struct.pack(">BIII", 1, prf, rounds, len(used)) + used + key
            add("aspnet-v3", library, secret, base64.b64encode(blob).decode())


def digests() -> None:
    for secret in (PLAIN, ASCII):
        for name in ("sha256", "sha512"):
            data = hashlib.new(name, secret.encode()).digest()
            add(f"duende-{name}", "hashlib, after the layout of Duende IdentityServer", secret, base64.b64encode(data).decode())
        data = hashlib.sha256(secret.encode())
        add("doorkeeper-sha256", "hashlib, after the layout of Doorkeeper", secret, data.hexdigest())


def refused() -> list[tuple[str, str]]:
    bcrypted = bcrypt.hashpw(b"x", b"$2b$04$" + bcrypt_salt().encode()).decode()
    key, short = raw64(salt(32)), raw64(salt(16))
    scrypt = hashers.ScryptPasswordHasher().encode(ASCII, text_salt(22))
    sixteen = base64.b64encode(struct.pack(">BIII", 1, 1, 2_000_000_000, 16) + salt(48)).decode()
    return [
        (SPRING_SCRYPT, "unsupported"),
        (scrypt, "unsupported"),
        (passlib.hash.scrypt.using(rounds=4, salt=salt(16)).hash(ASCII), "unsupported"),
        (passlib.hash.sha256_crypt.using(rounds=1000, salt=text_salt(8)).hash(ASCII), "unsupported"),
        (passlib.hash.sha512_crypt.using(rounds=1000, salt=text_salt(8)).hash(ASCII), "unsupported"),
        (passlib.hash.md5_crypt.using(salt=text_salt(8)).hash(ASCII), "unsupported"),
        (passlib.hash.bcrypt_sha256.using(rounds=4, salt=bcrypt_salt()).hash(ASCII), "unsupported"),
        ("$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7", "unsupported"),
        ("{MD5}5f4dcc3b5aa765d61d8327deb882cf99", "unsupported"),
        ("{ldap}{SSHA}DkMTwBl+a/3DQTxCYEApdUtNXGgdUac3", "unsupported"),
        (f"$argon2id$v=19$m=4194304,t=3,p=4${short}${key}", "costly"),
        (f"$argon2id$v=19$m=65536,t=100000,p=4${short}${key}", "costly"),
        (f"argon2$argon2id$v=19$m=4294967295,t=1,p=1${short}${key}", "costly"),
        (f"$2b$31${bcrypted[7:]}", "costly"),
        (f"bcrypt_sha256$$2b$31${bcrypted[7:]}", "costly"),
        (f"{{bcrypt}}$2a$31${bcrypted[7:]}", "costly"),
        (f"$pbkdf2-sha256$i=2000000000,l=32${short}${key}", "costly"),
        (f"$pbkdf2-sha256$2000000000${short.replace('+', '.')}${key.replace('+', '.')}", "costly"),
        (f"pbkdf2_sha256$2000000000$salt${key}=", "costly"),
        (sixteen, "costly"),
        ("", "malformed"),
        ("$", "malformed"),
        ("plaintext", "malformed"),
        ("$sha256$", "malformed"),
        ("$argon2id$v=19$m=8,t=1,p=1$$", "malformed"),
        (f"$argon2id$v=19$m=8,t=0,p=1${short}${key}", "malformed"),
        (f"$argon2id$v=19$m=8,t=1${short}${key}", "malformed"),
        (f"$argon2id$v=19$m=8,t=1,p=1${short}${key}$", "malformed"),
        (f"$argon2id$v=19$m=8,t=1,p=1${short}${key[:-1]}!", "malformed"),
        (bcrypted[:-1], "malformed"),
        (bcrypted + "a", "malformed"),
        (bcrypted.replace("$04$", "$4$"), "malformed"),
        (bcrypted.replace("$04$", "$03$"), "malformed"),
        (bcrypted[:-1] + "!", "malformed"),
        (f"$pbkdf2-sha256$i=0,l=32${short}${key}", "malformed"),
        (f"$pbkdf2-sha256$i=10,l=31${short}${key}", "malformed"),
        (f"$pbkdf2-sha256$0${short.replace('+', '.')}${key.replace('+', '.')}", "malformed"),
        (f"$pbkdf2-sha256$10${short}$", "malformed"),
        (f"pbkdf2_sha256$10$salt${key}", "malformed"),
        (f"pbkdf2_sha256$ten$salt${key}=", "malformed"),
        ("{bcrypt}", "malformed"),
        ("{pbkdf2}5d923b44", "malformed"),
        ("{pbkdf2}" + "zz" * 40, "malformed"),
        ("bcrypt_sha256$" + bcrypted[:-1], "malformed"),
        (ASPNET[0][:-4], "malformed"),
        (hashlib.sha256(b"x").hexdigest()[:-1], "malformed"),
        (base64.b64encode(hashlib.sha256(b"x").digest()).decode()[:-2], "malformed"),
    ]


def main() -> None:
    for make in (argon2s, bcrypts, passlibs, djangos, orys, springs, aspnets, digests):
        make()
    quoted = lambda text: json.dumps(text, ensure_ascii=False)  # noqa: E731
    print("# Group H: stored secrets of other systems. Written by tests/peers/hash_vectors.py; change that, not this.")
    print("# `wrong` is a secret that must not pass. Two kinds are readable, and no secret passes them: \"empty\" ones, and")
    print("# \"bcrypt-cut\", a secret beyond the 72 bytes that bcrypt looks at, as many others would pass for it.")
    print("# `why` is what a refusal says: unsupported (known, not verified here), costly or malformed.")
    for vector in vectors:
        print("\n[[vector]]")
        for key, value in vector.items():
            print(f"{key} = {quoted(value)}")
    for written, why in refused():
        print(f"\n[[refused]]\nhash = {quoted(written)}\nwhy = {quoted(why)}")


main()
