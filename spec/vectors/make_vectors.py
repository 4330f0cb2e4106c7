#!/usr/bin/env python3
"""Makes the vectors in this folder from the text of the specification, with other people's CBOR, BLAKE3 and Ed25519.

    pip install cbor2 blake3 cryptography
    python3 make_vectors.py

It shares no line with the Rust code: what both agree on is the specification. Running it again gives the same files.
"""

import base64
import hashlib
import json
import pathlib

import cbor2
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = pathlib.Path(__file__).parent
CRLF = b"\r\n"


def cbor(value):
    return cbor2.dumps(value, canonical=True)


def digest(octets):
    return blake3(octets).digest()


def write(name, value):
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    (HERE / name).write_text(text, encoding="utf-8", newline="\n")


# ---- 03-message.md ---------------------------------------------------------------------------------------------------


def block(*lines):
    return b"".join(line.encode() + CRLF for line in lines) + CRLF


class Leaf:
    def __init__(self, media_type, body, *fields, parameters=""):
        self.media_type, self.body, self.fields, self.parameters = media_type, body, fields, parameters

    def octets_of_body(self):
        return self.body

    def header(self):
        length = len(self.octets_of_body())
        return block(f"Content-Type: {self.media_type}{self.parameters}", f"Content-Length: {length}", *self.fields)

    def octets(self):
        return self.header() + self.octets_of_body() + CRLF + CRLF

    def manifest(self):
        head = self.header()
        return {1: self.media_type, 2: [len(head), digest(head)], 3: len(self.octets_of_body()), **self.content()}

    def content(self):
        return {4: digest(self.body)}

    def blocks(self):
        return self.header()


class Container(Leaf):
    def __init__(self, media_type, parts, *fields, parameters=""):
        super().__init__(media_type, None, *fields, parameters=parameters)
        self.parts = parts

    def octets_of_body(self):
        return b"".join(part.octets() for part in self.parts)

    def content(self):
        return {5: [part.manifest() for part in self.parts]}

    def blocks(self):
        return self.header() + b"".join(part.blocks() for part in self.parts)


def message(name, header, root):
    octets = header + root.octets()
    manifest = cbor({0: 1, 1: [len(header), digest(header)], 2: root.manifest()})
    return {
        "name": name,
        "octets": octets.hex(),
        "manifest": manifest.hex(),
        "identity": digest(manifest).hex(),
        "headers": (header + root.blocks()).hex(),
    }


HELLO = (block("From: Ada <ada@north.test>", "To: bo@south.test", "Subject: Grüße"), Leaf("text/plain", b"Hallo!\n"))
INNER = block("From: carl@east.test", "Subject: inner")
ACCEPTED = [
    message("one text", *HELLO),
    message("no field in the header block, no octet in the body", block(), Leaf("application/octet-stream", b"")),
    message(
        "a body that looks like the end of itself",
        block("Subject: trap"),
        Leaf("text/plain", b"\r\n\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n\r\n\r\n\0\xff"),
    ),
    message(
        "text and an attachment, with folds and parameters",
        block("From: ada@north.test", "Subject: one", " two", "X-Empty: "),
        Container(
            "multipart/mixed",
            [
                Leaf("text/plain", "Grüße\r\n".encode(), parameters="; charset=utf-8"),
                Leaf("image/png", bytes(range(256)), "Content-Disposition: attachment; filename=x.png"),
            ],
        ),
    ),
    message("an empty container", block("Subject: empty"), Container("multipart/mixed", [])),
    message(
        "a message within a message",
        block("Subject: outer"),
        Container(
            "multipart/mixed",
            [
                Leaf("text/plain", b"see below"),
                Container(
                    "message/rfc822",
                    [
                        Leaf("message/global-headers", INNER),
                        Container("multipart/alternative", [Leaf("text/plain", b"a"), Leaf("text/html", b"<p>a")]),
                    ],
                ),
            ],
        ),
    ),
]


def nested(depth):
    part = Leaf("text/plain", b"deep")
    for _ in range(depth - 1):
        part = Container("multipart/mixed", [part])
    return part


ACCEPTED.append(message("16 levels", block("Subject: deep"), nested(16)))
ACCEPTED.append(
    message("256 parts", block("Subject: wide"), Container("multipart/mixed", [Leaf("text/plain", b"")] * 255))
)

def plain(header=b"Subject: x\r\n\r\n", part=b"Content-Type: text/plain\r\nContent-Length: 1\r\n\r\n", rest=b"a\r\n\r\n"):
    return (header + part + rest)


def typed(*lines, rest=b"a\r\n\r\n"):
    return plain(part=block(*lines), rest=rest)


PART = len(Leaf("text/plain", b"abc").octets())
TYPE, LENGTH = "Content-Type: text/plain", "Content-Length: 1"
REFUSED = [
    ("MSG-1", "two root parts", plain() + plain(header=b"")),
    ("MSG-1", "an empty line before", b"\r\n" + plain()),
    ("MSG-2", "lines ended by LF", plain(header=b"Subject: x\n\n")),
    ("MSG-2", "no space after the colon", plain(header=b"Subject:x\r\n\r\n")),
    ("MSG-2", "no colon", plain(header=b"Subject x\r\n\r\n")),
    ("MSG-2", "not UTF-8", plain(header=b"Subject: \xe9\r\n\r\n")),
    ("MSG-2", "UTF-8 with a surrogate", plain(header=b"Subject: \xed\xa0\x80\r\n\r\n")),
    ("MSG-3", "NUL", plain(header=b"Subject: a\0b\r\n\r\n")),
    ("MSG-3", "a bare CR", plain(header=b"Subject: a\rBcc: b\r\n\r\n")),
    ("MSG-3", "a bare LF", plain(header=b"Subject: a\nBcc: b\r\n\r\n")),
    ("MSG-3", "NEL, of the C1 controls", plain(header="Subject: a\u0085b\r\n\r\n".encode())),
    ("MSG-3", "DEL", plain(header=b"Subject: a\x7fb\r\n\r\n")),
    ("MSG-4", "a name of 77 octets", plain(header=b"n" * 77 + b": x\r\n\r\n")),
    ("MSG-4", "an empty name", plain(header=b": x\r\n\r\n")),
    ("MSG-4", "a space in a name", plain(header=b"Sub ject: x\r\n\r\n")),
    ("MSG-4", "a name that is not ASCII", plain(header="Größe: x\r\n\r\n".encode())),
    ("MSG-4", "a folded line at the beginning", plain(header=b" x: y\r\n\r\n")),
    ("MSG-4", "a folded line of white space", plain(header=b"Subject: x\r\n \t \r\n\r\n")),
    ("MSG-4", "a fold with a tab", plain(header=b"Subject: x\r\n\ty\r\n\r\n")),
    ("MSG-5", "a body longer than it says", plain(rest=b"aa\r\n\r\n")),
    ("MSG-5", "a body shorter than it says", plain(rest=b"\r\n\r\n")),
    ("MSG-5", "one CRLF after the body", plain(rest=b"a\r\n")),
    ("MSG-5", "LF after the body", plain(rest=b"a\n\n\n\n")),
    ("MSG-6", "no type", typed(LENGTH)),
    ("MSG-6", "two types", typed(TYPE, TYPE, LENGTH)),
    ("MSG-6", "no length", typed(TYPE)),
    ("MSG-6", "two lengths", typed(TYPE, LENGTH, "content-length: 1")),
    ("MSG-6", "a type in upper case", typed("Content-Type: Text/Plain", LENGTH)),
    ("MSG-6", "a type without subtype", typed("Content-Type: text", LENGTH)),
    ("MSG-6", "a type with a second slash", typed("Content-Type: text/a/b", LENGTH)),
    ("MSG-6", "a type of 128 octets before the slash", typed("Content-Type: " + "a" * 128 + "/b", LENGTH)),
    ("MSG-6", "a length with a zero before", typed(TYPE, "Content-Length: 01")),
    ("MSG-6", "a length with a sign", typed(TYPE, "Content-Length: +1")),
    ("MSG-6", "a length with a space after", typed(TYPE, "Content-Length: 1 ")),
    ("MSG-6", "a length in hexadecimal", typed(TYPE, "Content-Length: 0x1")),
    ("MSG-6", "an empty length", typed(TYPE, "Content-Length: ")),
    ("MSG-6", "a length past 64 bits", typed(TYPE, "Content-Length: 18446744073709551617")),
    ("MSG-6", "a transfer encoding", typed(TYPE, LENGTH, "Content-Transfer-Encoding: 8bit")),
    (
        "MSG-7",
        "octets in a container that are no part",
        typed("Content-Type: multipart/mixed", "Content-Length: 1"),
    ),
    (
        "MSG-7",
        "a part longer than its container",
        typed("Content-Type: multipart/mixed", f"Content-Length: {PART - 4}", rest=Leaf("text/plain", b"abc").octets() + CRLF * 2),
    ),
    (
        "MSG-7",
        "a part shorter than its container",
        typed("Content-Type: multipart/mixed", f"Content-Length: {PART + 4}", rest=Leaf("text/plain", b"abc").octets() + CRLF * 2),
    ),
    ("MSG-8", "257 parts", block("S: x") + Container("multipart/mixed", [Leaf("text/plain", b"")] * 256).octets()),
    ("MSG-8", "17 levels", block("S: x") + nested(17).octets()),
    ("MSG-8", "a length past 2^56", typed(TYPE, f"Content-Length: {2**56 + 1}")),
    ("MSG-9", "octets after the end", plain() + b"\r\n"),
    ("MSG-9", "nothing at all", b""),
]

one_leaf = cbor2.loads(bytes.fromhex(ACCEPTED[0]["manifest"]))


def changed(change):
    copy = cbor2.loads(bytes.fromhex(ACCEPTED[3]["manifest"]))
    change(copy)
    return cbor(copy)


def set_at(path, value):
    def change(manifest):
        for key in path[:-1]:
            manifest = manifest[key]
        if value is None:
            del manifest[path[-1]]
        else:
            manifest[path[-1]] = value

    return changed(change)


HEAD = cbor({0: 1, 1: one_leaf[1], 2: one_leaf[2]})
BAD_MANIFESTS = [
    ("MSG-10", "version 2", set_at([0], 2)),
    ("MSG-10", "no version", set_at([0], None)),
    ("MSG-10", "a digest of 31 octets", set_at([1, 1], b"x" * 31)),
    ("MSG-10", "a leaf without a digest", set_at([2, 5, 0, 4], None)),
    ("MSG-10", "a leaf with parts beside its digest", set_at([2, 5, 0, 5], [])),
    ("MSG-10", "a container with a digest", set_at([2, 4], b"x" * 32)),
    ("MSG-10", "a media type that is no text", set_at([2, 1], b"multipart/mixed")),
    ("MSG-10", "a container's type on a leaf", set_at([2, 5, 0, 1], "multipart/mixed")),
    ("MSG-10", "a leaf's type on a container", set_at([2, 1], "text/plain")),
    ("MSG-10", "a media type in upper case", set_at([2, 5, 0, 1], "text/Plain")),
    ("MSG-11", "a key too many", set_at([3], 0)),
    ("MSG-11", "a key too many in a part", set_at([2, 5, 0, 6], 0)),
    ("MSG-11", "a container longer than its parts", set_at([2, 3], one_leaf[2][3] + 100000)),
    ("MSG-11", "a negative length", set_at([2, 5, 0, 3], -1)),
    ("MSG-11", "keys out of order", b"\xa3\x01" + cbor(one_leaf[1]) + b"\x00\x01\x02" + cbor(one_leaf[2])),
    ("MSG-11", "a key twice", b"\xa4\x00\x01\x00\x01\x01" + cbor(one_leaf[1]) + b"\x02" + cbor(one_leaf[2])),
    ("MSG-11", "an integer not in its shortest form", b"\xa3\x00\x18\x01\x01" + cbor(one_leaf[1]) + b"\x02" + cbor(one_leaf[2])),
    ("MSG-11", "a map of indefinite length", b"\xbf" + HEAD[1:] + b"\xff"),
    ("MSG-11", "octets after it", HEAD + b"\x00"),
    ("MSG-11", "an array", cbor([1, 2, 3])),
    ("MSG-11", "nothing", b""),
]
no_octets = cbor2.loads(bytes.fromhex(ACCEPTED[1]["manifest"]))
no_octets[2][4] = b"x" * 32
BAD_MANIFESTS += [("MSG-10", "a leaf of no octets with another digest than that of none", cbor(no_octets))]
MANIFEST_17 = cbor({0: 1, 1: one_leaf[1], 2: nested(17).manifest()})
MANIFEST_257 = cbor({0: 1, 1: one_leaf[1], 2: Container("multipart/mixed", [Leaf("text/plain", b"")] * 256).manifest()})
BAD_MANIFESTS += [("MSG-11", "17 levels", MANIFEST_17), ("MSG-11", "257 parts", MANIFEST_257)]

# ---- 04-seals.md -----------------------------------------------------------------------------------------------------

SEEDS = {"ada": bytes(range(32)), "north.test": bytes(range(32, 64)), "mallory": bytes(range(64, 96))}
KEYS = {name: Ed25519PrivateKey.from_private_bytes(seed) for name, seed in SEEDS.items()}
PUBLIC = {name: key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) for name, key in KEYS.items()}
KEY_IDS = {name: digest(public)[:16] for name, public in PUBLIC.items()}
MANIFEST = bytes.fromhex(ACCEPTED[0]["manifest"])
OTHER = bytes.fromhex(ACCEPTED[3]["manifest"])
NOW = 1_800_000_000


def seal(signer, header, *, manifest=MANIFEST, external=b"waxwing seal 1", context="Signature1", payload=None,
         unprotected=None, raw_header=None, trim=0):
    protected = cbor(header) if raw_header is None else raw_header
    signed = cbor([context, protected, external, manifest])
    signature = KEYS[signer].sign(signed)
    return cbor([protected, unprotected or {}, payload, signature[: 64 - trim]])


def claims(role=1, issuer="ada@north.test", issued=NOW - 60, **more):
    numbers = {"expires": 4, "submitter": -70002, "recipient": -70003, "authorization": -70004, "checks": -70005}
    return {1: issuer, 6: issued, -70001: role, **{numbers[name]: value for name, value in more.items()}}


def header(given=None, algorithm=-8, kid=KEY_IDS["ada"], **more):
    return {1: algorithm, 4: kid, 15: given or claims(), **more}


AUTHOR = seal("ada", header())
SUBMISSION = seal(
    "north.test",
    header(claims(2, "north.test", expires=NOW + 86400, submitter="ada@north.test"), kid=b"w1"),
)
FORWARDER = seal(
    "north.test", header(claims(3, "north.test", recipient="bo@south.test", authorization="record 7"), kid=b"w1")
)
CHECKS = [["spf", "pass"], ["dkim", "fail"]]
GATEWAY = seal("north.test", header(claims(5, "north.test", checks=CHECKS), kid=b"w1"))
twice = cbor(claims())
TWICE = b"\xa4" + twice[1:] + b"\x01" + cbor("mallory@west.test")


def seal_case(name, octets, expect, key="ada", manifest=MANIFEST, now=NOW, rule="SEAL-1"):
    return {"name": name, "rule": rule, "seal": octets.hex(), "key": PUBLIC[key].hex(), "manifest": manifest.hex(),
            "now": now, "expect": expect}


flipped = bytearray(AUTHOR)
flipped[flipped.index(b"ada@north.test")] ^= 1
SEALS = [
    # The octets that our own writer must give too: Ed25519 and the deterministic encoding leave no choice.
    {**seal_case("author", AUTHOR, "verified"), "seed": SEEDS["ada"].hex(), "kid": KEY_IDS["ada"].hex(),
     "claims": {"issuer": "ada@north.test", "issued_at": NOW - 60, "role": 1}},
    {**seal_case("submission", SUBMISSION, "verified", key="north.test"), "seed": SEEDS["north.test"].hex(),
     "kid": b"w1".hex(), "claims": {"issuer": "north.test", "issued_at": NOW - 60, "expires_at": NOW + 86400, "role": 2,
                                    "submitter": "ada@north.test"}},
    {**seal_case("forwarder", FORWARDER, "verified", key="north.test"), "seed": SEEDS["north.test"].hex(),
     "kid": b"w1".hex(), "claims": {"issuer": "north.test", "issued_at": NOW - 60, "role": 3,
                                    "recipient": "bo@south.test", "authorization": "record 7"}},
    {**seal_case("gateway", GATEWAY, "verified", key="north.test", rule="SEAL-3"), "seed": SEEDS["north.test"].hex(),
     "kid": b"w1".hex(), "claims": {"issuer": "north.test", "issued_at": NOW - 60, "role": 5, "checks": CHECKS}},
    seal_case("checks that are no pairs", seal("ada", header(claims(5, checks=[["spf"]]))), "malformed", rule="SEAL-3"),
    seal_case("no checks in the list", seal("ada", header(claims(5, checks=[]))), "malformed", rule="SEAL-3"),
    seal_case("too many checks", seal("ada", header(claims(5, checks=[["a", "b"]] * 17))), "malformed", rule="SEAL-3"),
    seal_case("a check with a long name", seal("ada", header(claims(5, checks=[["m" * 33, "b"]]))), "malformed",
              rule="SEAL-3"),
    seal_case("an unknown role verifies as a signature", seal("ada", header(claims(99))), "verified", rule="SEAL-4"),
    seal_case("unknown claims and parameters are passed over",
              seal("ada", {1: -8, 4: b"k", 15: {**claims(), -80001: [1, 2]}, 100: "x"}), "verified", rule="SEAL-3"),
    seal_case("a header that is not in the deterministic order",
              seal("ada", None, raw_header=b"\xa3\x0f" + cbor(claims()) + b"\x04\x41k\x01\x27"), "verified", rule="SEAL-2"),
    seal_case("over another manifest", AUTHOR, "signature", manifest=OTHER, rule="SEAL-6"),
    seal_case("with another key", AUTHOR, "signature", key="mallory", rule="SEAL-5"),
    seal_case("a claim was changed", bytes(flipped), "signature", rule="SEAL-2"),
    seal_case("other external data", seal("ada", header(), external=b"waxwing key 1"), "signature"),
    seal_case("no external data", seal("ada", header(), external=b""), "signature"),
    seal_case("another context", seal("ada", header(), context="Signature"), "signature"),
    seal_case("a signature of 63 octets", seal("ada", header(), trim=1), "signature", rule="SEAL-5"),
    seal_case("no signature", seal("ada", header(), trim=64), "signature", rule="SEAL-5"),
    seal_case("ES256", seal("ada", header(algorithm=-7)), "algorithm", rule="SEAL-4"),
    seal_case("an algorithm that has no number yet", seal("ada", header(algorithm=-54321)), "algorithm", rule="SEAL-4"),
    seal_case("an algorithm with a name", seal("ada", header(algorithm="new")), "algorithm", rule="SEAL-4"),
    seal_case("it has expired", SUBMISSION, "time", key="north.test", now=NOW + 86400, rule="SEAL-6"),
    seal_case("a second before it expires", SUBMISSION, "verified", key="north.test", now=NOW + 86399, rule="SEAL-6"),
    seal_case("300 seconds ahead", AUTHOR, "verified", now=NOW - 360, rule="SEAL-6"),
    seal_case("301 seconds ahead", AUTHOR, "time", now=NOW - 361, rule="SEAL-6"),
    seal_case("the payload attached", seal("ada", header(), payload=MANIFEST), "malformed"),
    seal_case("an empty payload attached", seal("ada", header(), payload=b""), "malformed"),
    seal_case("tagged", b"\xd2" + AUTHOR, "malformed"),
    seal_case("undefined where nil must be", AUTHOR.replace(b"\xa0\xf6\x58\x40", b"\xa0\xf7\x58\x40"), "malformed"),
    seal_case("an array of indefinite length", b"\x9f" + AUTHOR[1:] + b"\xff", "malformed"),
    seal_case("a length not in its shortest form", AUTHOR.replace(b"\xa0\xf6\x58\x40", b"\xa0\xf6\x59\x00\x40"), "malformed"),
    seal_case("three items", cbor(cbor2.loads(AUTHOR)[:3]), "malformed"),
    seal_case("octets after it", AUTHOR + b"\x00", "malformed"),
    seal_case("more than 4,096 octets", seal("ada", header(**{}) | {100: "x" * 4096}), "malformed"),
    seal_case("an unprotected parameter", seal("ada", header(), unprotected={4: b"x"}), "malformed", rule="SEAL-2"),
    seal_case("critical parameters", seal("ada", header() | {2: [100], 100: 1}), "malformed", rule="SEAL-2"),
    seal_case("no algorithm", seal("ada", {4: b"k", 15: claims()}), "malformed", rule="SEAL-2"),
    seal_case("no name of a key", seal("ada", {1: -8, 15: claims()}), "malformed", rule="SEAL-2"),
    seal_case("an empty name of a key", seal("ada", header(kid=b"")), "malformed", rule="SEAL-2"),
    seal_case("a name of a key of 64 octets", seal("ada", header(kid=b"k" * 64)), "malformed", rule="SEAL-2"),
    seal_case("no claims", seal("ada", {1: -8, 4: b"k"}), "malformed", rule="SEAL-2"),
    seal_case("an empty protected header", seal("ada", None, raw_header=b""), "malformed", rule="SEAL-2"),
    seal_case("a claim twice",
              seal("ada", None, raw_header=b"\xa3\x01\x27\x04\x41k\x0f" + TWICE), "malformed", rule="SEAL-2"),
    seal_case("a parameter twice",
              seal("ada", None, raw_header=b"\xa4\x01\x27\x01\x26\x04\x41k\x0f" + twice), "malformed", rule="SEAL-2"),
    seal_case("no issuer", seal("ada", header({6: NOW, -70001: 1})), "malformed", rule="SEAL-3"),
    seal_case("no time of issue", seal("ada", header({1: "a", -70001: 1})), "malformed", rule="SEAL-3"),
    seal_case("no role", seal("ada", header({1: "a", 6: NOW})), "malformed", rule="SEAL-3"),
    seal_case("a role in words", seal("ada", header({1: "a", 6: NOW, -70001: "author"})), "malformed", rule="SEAL-3"),
    seal_case("a time that is no integer", seal("ada", header({1: "a", 6: 1.5, -70001: 1})), "malformed", rule="SEAL-3"),
    seal_case("a control character in a claim", seal("ada", header(claims(issuer="a\nb"))), "malformed", rule="SEAL-3"),
    seal_case("an issuer of 513 octets", seal("ada", header(claims(issuer="a" * 513))), "malformed", rule="SEAL-3"),
]
# The points of small order on Ed25519, canonical and not (as in the tests of libsodium): nobody's key.
WEAK = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]


def file_form(seals):
    def lines(octets):
        text = base64.b64encode(octets).decode()
        return "Seal: " + "\r\n ".join(text[at : at + 72] for at in range(0, len(text), 72))

    return block("Waxwing: 1", *(lines(octets) for octets in seals))


# ---- 24-keys.md ------------------------------------------------------------------------------------------------------

ADA_NEXT = bytes([9]) * 32
SEEDS_OF_KEYS = {**SEEDS, "ada, later": ADA_NEXT}


def key_of(name):
    return Ed25519PrivateKey.from_private_bytes(SEEDS_OF_KEYS[name])


def public_of(name):
    return key_of(name).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def id_of(name):
    return digest(public_of(name))[:16]


def sign1(name, external, payload, kid, issued=None, attached=False, header_more=None):
    head = {1: -8, 4: kid, **({15: {1: issued[0], 6: issued[1]}} if issued else {}), **(header_more or {})}
    protected = cbor(head)
    signature = key_of(name).sign(cbor(["Signature1", protected, external, payload]))
    return cbor([protected, {}, payload if attached else None, signature])


def stated(name, previous=None, revoked=False, address="ada@north.test", start=NOW, end=NOW + 31536000, **more):
    return {0: 1, 1: address, 2: public_of(name), 3: 1, 4: start, 5: end, **({6: previous} if previous else {}),
            **({7: True} if revoked else {}), **more}


def statement(name, claims, external=b"waxwing key 1", kid=None, signer=None, **more):
    return sign1(signer or name, external, cbor(claims), kid or id_of(name), attached=True, **more)


def succession(name, of, external=b"waxwing key previous 1"):
    return sign1(name, external, of, id_of(name))


def record(of, after=None, signer="north.test", domain="north.test", at=NOW):
    return cbor([of, after, sign1(signer, b"waxwing key domain 1", cbor([of, after]), b"w1", issued=(domain, at))])


def leaf_hash(octets):
    return hashlib.sha256(b"\x00" + octets).digest()


# RFC 9162 section 2.1, word for word.
def split(n):
    return 1 << ((n - 1).bit_length() - 1)


def mth(leaves):
    if len(leaves) < 2:
        return leaf_hash(leaves[0]) if leaves else hashlib.sha256().digest()
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m, leaves):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    return path(m, leaves[:k]) + [mth(leaves[k:])] if m < k else path(m - k, leaves[k:]) + [mth(leaves[:k])]


def subproof(m, leaves, whole):
    n = len(leaves)
    if m == n:
        return [] if whole else [mth(leaves)]
    k = split(n)
    if m <= k:
        return subproof(m, leaves[:k], whole) + [mth(leaves[k:])]
    return subproof(m - k, leaves[k:], False) + [mth(leaves[:k])]


def tree_head(leaves, domain="north.test", signer="north.test", at=NOW + 100, size=None, external=b"waxwing key head 1"):
    payload = cbor({1: domain, 2: len(leaves) if size is None else size, 3: mth(leaves), 4: at})
    return sign1(signer, external, payload, b"w1", attached=True)


FIRST = statement("ada", stated("ada"))
NEXT = statement("ada, later", stated("ada, later", previous=digest(FIRST), start=NOW + 50))
REVOKED = statement("ada, later", stated("ada, later", previous=digest(NEXT), start=NOW + 60, revoked=True))
FIRST_RECORD = record(FIRST)
NEXT_RECORD = record(NEXT, succession("ada", NEXT), at=NOW + 50)
REVOKED_RECORD = record(REVOKED, at=NOW + 60)
BROKEN_RECORD = record(NEXT, at=NOW + 50)
OTHERS = [b"another record", b"a third one", b"a fourth one"]
LOG = [OTHERS[0], FIRST_RECORD, OTHERS[1], NEXT_RECORD, OTHERS[2]]
SEEN = 3

STATEMENTS = [
    ("KEY-1", "the first", "good", FIRST),
    ("KEY-3", "another key", "good", NEXT),
    ("KEY-1", "a revocation", "good", REVOKED),
    ("KEY-1", "version 2", "malformed", statement("ada", {**stated("ada"), 0: 2})),
    ("KEY-1", "to encrypt to", "malformed", statement("ada", {**stated("ada"), 3: 2})),
    ("KEY-1", "of no address", "malformed", statement("ada", stated("ada", address="ada"))),
    ("KEY-1", "ends when it begins", "malformed", statement("ada", stated("ada", end=NOW))),
    ("KEY-1", "a digest of 31 octets", "malformed", statement("ada", stated("ada", previous=b"x" * 31))),
    ("KEY-1", "a revocation that is false", "malformed", statement("ada", {**stated("ada"), 7: False})),
    ("KEY-1", "something more", "malformed", statement("ada", {**stated("ada"), 8: 1})),
    ("KEY-1", "a weak key", "malformed", statement("ada", {**stated("ada"), 2: bytes.fromhex(WEAK[0])})),
    ("KEY-2", "by another key", "signature", statement("ada", stated("ada"), signer="mallory")),
    ("KEY-2", "the external data of a seal", "signature", statement("ada", stated("ada"), external=b"waxwing seal 1")),
    ("KEY-2", "the id of another key", "malformed", statement("ada", stated("ada"), kid=id_of("mallory"))),
    ("KEY-2", "a header with more", "malformed", statement("ada", stated("ada"), header_more={5: b"x"})),
    ("KEY-2", "a changed octet", "signature", FIRST.replace(b"ada@north.test", b"aha@north.test")),
    ("KEY-2", "tagged", "malformed", b"\xd2" + FIRST),
    ("KEY-2", "octets after it", "malformed", FIRST + b"\x00"),
    ("KEY-2", "a payload not in the deterministic encoding", "malformed",
     sign1("ada", b"waxwing key 1", b"\xa6\x01" + cbor("ada@north.test") + b"\x00\x01" + cbor(stated("ada"))[19:],
           id_of("ada"), attached=True)),
    ("KEY-2", "more than 1,024 octets", "malformed", statement("ada", {**stated("ada"), 8: b"x" * 1024})),
]
RECORDS = [
    ("KEY-4", "the first", "good", FIRST_RECORD),
    ("KEY-4", "with a succession", "good", NEXT_RECORD),
    ("KEY-4", "countersigned for another domain", "malformed", record(FIRST, domain="west.test")),
    ("KEY-4", "countersigned by another key", "signature", record(FIRST, signer="mallory")),
    ("KEY-4", "the countersignature of another statement", "signature",
     cbor([FIRST, None, cbor2.loads(NEXT_RECORD)[2]])),
    ("KEY-4", "the succession taken away", "signature", cbor([NEXT, None, cbor2.loads(NEXT_RECORD)[2]])),
    ("KEY-4", "two members", "malformed", cbor([FIRST, None])),
    ("KEY-4", "octets after it", "malformed", FIRST_RECORD + b"\x00"),
]
LINKS = [
    ("KEY-5", "signed by the key before", "rotated", FIRST, NEXT_RECORD),
    ("KEY-5", "not signed by the key before", "broken", FIRST, BROKEN_RECORD),
    ("KEY-5", "signed by somebody else", "broken", FIRST, record(NEXT, succession("mallory", NEXT))),
    ("KEY-5", "a succession with other external data", "broken", FIRST,
     record(NEXT, succession("ada", NEXT, external=b"waxwing key 1"))),
    ("KEY-5", "it revokes its own key", "same", NEXT, REVOKED_RECORD),
    ("KEY-5", "it does not name the one before", "broken", REVOKED, NEXT_RECORD),
    ("KEY-5", "after a revocation", "broken", REVOKED, (lambda new: record(new, succession("ada, later", new)))(
        statement("ada", stated("ada", previous=digest(REVOKED))))),
]


def chain_case(name, expect, revoked, *steps):
    """Each step: a key, whether the one before signs it, and whether it revokes. Expected of each statement, how it follows the
    one before; and which keys are revoked in the end."""
    records, before = [], None
    for place, (key, signed, revokes) in enumerate(steps):
        at = NOW + 100 * place
        new = statement(key, stated(key, previous=before and digest(before[1]), start=at, revoked=revokes))
        records.append(record(new, succession(before[0], new) if signed else None, at=at))
        before = (key, new)
    return {"rule": "KEY-5", "name": name, "expect": expect, "revoked": [public_of(key).hex() for key in revoked],
            "records": [one.hex() for one in records]}


ADA, LATER = ("ada", False, False), ("ada, later", True, False)
CHAINS = [
    chain_case("one key after another", ["broken", "rotated", "same"], [], ADA, LATER, ("ada, later", False, False)),
    chain_case("a key that was replaced comes back", ["broken", "rotated", "broken"], [], ADA, LATER, ("ada", True, False)),
    chain_case("it comes back and is revoked", ["broken", "rotated", "broken", "same"], ["ada"],
               ADA, LATER, ("ada", True, False), ("ada", False, True)),
    chain_case("it comes back after two others", ["broken", "rotated", "rotated", "broken"], [],
               ADA, LATER, ("mallory", True, False), ("ada", True, False)),
    chain_case("a revocation behind a break", ["broken", "broken", "broken"], ["ada"],
               ADA, ("ada, later", False, False), ("ada", False, True)),
]


def answer(leaves=None, records=(1, 3), seen=SEEN, **more):
    leaves = leaves or LOG
    return {"head": tree_head(leaves, **more).hex(),
            "records": [{"record": leaves[place].hex(), "leaf": place, "way": [h.hex() for h in path(place, leaves)]}
                        for place in records],
            "consistency": [h.hex() for h in subproof(seen, leaves, True)] if seen else []}


def answer_case(rule, name, expect, given, seen=SEEN, seen_root=None, now=NOW + 200):
    return {"rule": rule, "name": name, "expect": expect, "address": "ada@north.test", "now": now,
            "seen": {"size": seen, "root": (seen_root or mth(LOG[:seen])).hex()} if seen else None, **given}


SPLIT = [OTHERS[1], *LOG[1:]]
ANSWERS = [
    answer_case("KEY-15", "all as it must be", "good", answer()),
    answer_case("KEY-15", "asked for the first time", "good", answer(seen=0), seen=0),
    answer_case("KEY-10", "no keys", "good", answer(records=())),
    answer_case("KEY-14", "another history", "split", answer(SPLIT)),
    answer_case("KEY-14", "fewer than were seen", "split", answer(LOG[:2], records=(1,), seen=0)),
    answer_case("KEY-14", "no proof", "split", answer(seen=0)),
    answer_case("KEY-13", "a way to another leaf", "wrong",
                {**answer(), "records": [{**answer()["records"][0], "leaf": 2}]}),
    answer_case("KEY-13", "a record that is not in the log", "wrong",
                {**answer(records=(1,)), "records": [{**answer()["records"][0], "record": BROKEN_RECORD.hex()}]}),
    answer_case("KEY-15", "the first was left out", "wrong", answer(records=(3,))),
    answer_case("KEY-15", "out of order", "wrong", answer(records=(3, 1))),
    answer_case("KEY-15", "the head of another domain", "wrong", answer(domain="west.test")),
    answer_case("KEY-15", "a head by another key", "wrong", answer(signer="mallory")),
    answer_case("KEY-11", "a head with the external data of a statement", "wrong", answer(external=b"waxwing key 1")),
    answer_case("KEY-15", "a head of yesterday", "wrong", answer(), now=NOW + 100 + 86401),
    answer_case("KEY-15", "a head of tomorrow", "wrong", answer(), now=NOW + 100 - 301),
]

# ---- 05-frames.md ----------------------------------------------------------------------------------------------------


def varint(number):
    for size, bits in ((1, 0), (2, 1), (4, 2), (8, 3)):
        if number < 1 << (8 * size - 2):
            return (number | bits << (8 * size - 2)).to_bytes(size, "big")
    raise ValueError(number)


def framed(octets):
    return varint(len(octets)) + octets


IDENTITY = bytes.fromhex(ACCEPTED[0]["identity"])
COOKIE, SECOND = b"\x11" * 32, b"\x22" * 32
OFFER = {0: 2, 1: IDENTITY, 2: 150, 3: ["ada@north.test", "north.test"], 4: ["bo@south.test", "grüße@south.test"],
         5: [["relay.test", NOW]], 6: 2}
DISPOSITIONS = {
    "accepted": [0],
    "refused": [1, "5.7.1", "not wanted here"],
    "pending": [2, COOKIE, 60, 21600, NOW + 432000],
    "deferred": [3, "4.3.1", 300],
    "redirected": [4, "2001:db8::1", 7625, b"\x33" * 32, b"ticket", NOW + 300],
    "withdrawn": [5],
    "expired": [6],
    "relayed": [7],
}
SELECTIONS = {
    "all": [0],
    "headers": [1],
    "digest": [2],
    "signers": [3],
    "text": [4],
    "parts": [5, [1, 0], [2, 70000]],
    "range": [6, 2, 16384, 1000],
}
KEY_ANSWER = {0: 33, 1: b"head", 2: [[b"record", 2, [b"\x77" * 32, b"\x88" * 32]]], 3: [b"\x99" * 32]}
PINS = {0: 36, 1: [[b"\x44" * 32, NOW, NOW + 86400, False]], 2: b"\x66" * 32}
ENTRY = {1: 7, 2: IDENTITY, 3: "bo@south.test", 4: NOW * 1000, 5: "north.test", 6: False,
         7: [["ada@north.test", "author", True], ["x.test", "unknown", False]], 8: 1}
RECORD = {1: 9, 2: IDENTITY, 3: NOW * 1000, 4: NOW * 1000 + 10000,
          5: [["bo@south.test", DISPOSITIONS["accepted"]], ["cy@south.test", DISPOSITIONS["pending"]]],
          6: [[NOW * 1000 + 5, "mx.south.test", "connect", None, "no answer"],
              [NOW * 1000 + 9, "mx.south.test", "outcome", "2.0.0", ""]]}
HELD = {1: [12, 0], 2: IDENTITY, 3: "bo@south.test", 4: NOW * 1000, 5: NOW * 1000 + 432000000, 6: "north.test",
        7: "rule first-contact: from ada@north.test", 8: 30000000, 9: 29990000, 11: [["north.test", "submission", True]],
        12: "Ada <ada@north.test>", 13: "A film", 14: "Thu, 1 Jan 2026 12:00:00 +0000", 15: 4}
# 17-doorstep.md: the expiry, and a keyed digest of what the ticket is for.
TICKET_KEY = b"\x55" * 32
SENDER_KEY_DIGEST = b"\x66" * 32
TICKET_EXPIRY = NOW + 300
TICKET_FOR = ["waxwing ticket 1", "bo@south.test", IDENTITY, "north.test", SENDER_KEY_DIGEST, TICKET_EXPIRY]
TICKET = TICKET_EXPIRY.to_bytes(8, "big") + blake3(cbor(TICKET_FOR), key=TICKET_KEY).digest()
FRAMES = {
    "settings": {0: 1, 1: 65536, 2: 2**30, 3: 100},
    "offer": OFFER,
    "offer of a submission": {**OFFER, 5: [], 6: 0, 7: {1: True, 2: 10}},
    "offer of a submission to be sent": {**OFFER, 6: 1, 7: {2: 0}},
    "content: manifest": {0: 3, 1: 1, 2: 131},
    "content: seals": {0: 3, 1: 2, 2: 1},
    "content: headers, the last": {0: 3, 1: 3, 2: 120, 5: True},
    "content: body": {0: 3, 1: 4, 2: 2**40, 3: 2, 4: 70000},
    "content: slice": {0: 3, 1: 5, 2: 16448, 3: 2, 4: 16384, 5: True},
    **{f"want: {name}": {0: 4, 1: value} for name, value in SELECTIONS.items()},
    **{f"outcome: {name}": {0: 5, 1: [value]} for name, value in DISPOSITIONS.items()},
    "outcome: sealed": {0: 5, 1: [[0]], 2: [IDENTITY, b"Subject: x\r\n\r\n", [AUTHOR]]},
    "poll": {0: 6, 1: [COOKIE, SECOND]},
    "answers": {0: 7, 1: [[0], [1, DISPOSITIONS["refused"]], [2, 60, 21600, NOW], [3, SELECTIONS["parts"]]]},
    "settled": {0: 8, 1: [COOKIE]},
    "give up": {0: 9, 1: [SECOND]},
    "done": {0: 10},
    "failure": {0: 11, 1: "5.5.4", 2: "not a frame"},
    "enrol": {0: 16, 1: "ada", 2: "correct horse", 3: "Ada's phone"},
    "status: latest": {0: 17, 1: 0, 2: 20},
    "status: of one": {0: 17, 3: IDENTITY},
    "status list": {0: 18, 1: [RECORD]},
    "mailbox": {0: 19, 1: 6, 2: 100},
    "mailbox list": {0: 20, 1: [ENTRY]},
    "fetch": {0: 21, 1: IDENTITY, 2: [1]},
    "devices": {0: 22},
    "device list": {0: 23, 1: [[b"\x44" * 32, "Ada's phone", NOW * 1000]]},
    "remove device": {0: 24, 1: b"\x44" * 32},
    "held": {0: 25, 2: 100},
    "held: after a place": {0: 25, 1: [12, 1], 2: 20},
    "held list": {0: 26, 1: [HELD]},
    "decide: accept": {0: 27, 1: IDENTITY, 2: "bo@south.test", 3: 0},
    "decide: accept and trust": {0: 27, 1: IDENTITY, 2: "bo@south.test", 3: 0, 4: True},
    "decide: refuse": {0: 27, 1: IDENTITY, 2: "bo@south.test", 3: 1, 5: "5.7.1"},
    "decide: block": {0: 27, 1: IDENTITY, 2: "bo@south.test", 3: 2},
    "offer at a doorstep": {**OFFER, 4: ["bo@south.test"], 8: TICKET},
    "offer after a redirect": {**OFFER, 9: True},
    "doorstep": {0: 28, 1: 7626},
    "doorstep lease": {0: 29, 1: 300, 2: "2a00:1450::7", 3: TICKET_KEY},
    "doorstep took": {0: 30, 1: [[IDENTITY, "bo@south.test", "north.test"]]},
    "doorstep end": {0: 31},
    "key": {0: 32, 1: "ada@north.test"},
    "key: with a size": {0: 32, 1: "ada@north.test", 2: 3},
    "key answer": KEY_ANSWER,
    "key answer: nothing": {0: 33, 1: b"head", 2: []},
    "key publish": {0: 34, 1: b"statement"},
    "key publish: another key": {0: 34, 1: b"statement", 2: b"succession"},
    "key pinned": {0: 35, 1: "ada@north.test"},
    "key pinned: to be forgotten": {0: 35, 1: "ada@north.test", 2: True},
    "key pins": PINS,
}


def offer_with(key, value):
    return cbor({**OFFER, key: value})


def one(disposition):
    return cbor({0: 5, 1: [disposition]})


BAD_FRAMES = [
    ("FRM-2", "nothing", b""),
    ("FRM-2", "an array", cbor([10])),
    ("FRM-2", "octets after the map", cbor({0: 10}) + b"\x00"),
    ("FRM-2", "a map that ends early", b"\xa2\x00\x0a"),
    ("FRM-2", "a key in text", cbor({0: 10, "a": 1})),
    ("FRM-2", "no type", cbor({1: 1})),
    ("FRM-2", "nested deeper than 36", b"\xa2\x00\x0a\x01" + b"\x81" * 40 + b"\x00"),
    ("FRM-3", "a critical key", cbor({0: 10, -1: 0})),
    ("FRM-3", "a critical key within", offer_with(7, {2: 0, -5: 0})),
    ("FRM-3", "a key twice", b"\xa3\x00\x0a\x01\x00\x01\x00"),
    ("FRM-4", "an unknown type", cbor({0: 12})),
    ("FRM-4", "a decision 3", cbor({0: 27, 1: IDENTITY, 2: "bo@south.test", 3: 3})),
    ("FRM-4", "a refusal with a code of class 4", cbor({0: 27, 1: IDENTITY, 2: "bo@south.test", 3: 1, 5: "4.7.1"})),
    ("FRM-4", "a place of one number", cbor({0: 25, 1: [12], 2: 1})),
    ("FRM-4", "a type past 64 bits", cbor({0: 2**70})),
    ("FRM-4", "an offer without a recipient", offer_with(4, [])),
    ("FRM-4", "an offer with a recipient twice", offer_with(4, ["bo@south.test"] * 2)),
    ("FRM-4", "an offer with 101 recipients", offer_with(4, [f"r{n}@south.test" for n in range(101)])),
    ("FRM-4", "an offer with 17 issuers", offer_with(3, ["a.test"] * 17)),
    ("FRM-4", "an offer with 33 hops", offer_with(5, [["a.test", 1]] * 33)),
    ("FRM-4", "an offer with a hop of one item", offer_with(5, [["a.test"]])),
    ("FRM-4", "an offer with eager content 3", offer_with(6, 3)),
    ("FRM-4", "an identity of 31 octets", offer_with(1, IDENTITY[:31])),
    ("FRM-4", "an identity in text", offer_with(1, "x" * 32)),
    ("FRM-4", "a negative length", offer_with(2, -1)),
    ("FRM-4", "sign only that is no boolean", offer_with(7, {1: 1, 2: 0})),
    ("FRM-4", "an offer without its length", cbor({k: v for k, v in OFFER.items() if k != 2})),
    ("FRM-4", "content of piece 6", cbor({0: 3, 1: 6, 2: 1})),
    ("FRM-4", "content of a body without its part", cbor({0: 3, 1: 4, 2: 1, 4: 0})),
    ("FRM-4", "content of part 256", cbor({0: 3, 1: 4, 2: 1, 3: 256, 4: 0})),
    ("FRM-4", "content past 2^56", cbor({0: 3, 1: 1, 2: 2**56 + 1})),
    ("FRM-4", "content with a last that is no boolean", cbor({0: 3, 1: 1, 2: 1, 5: 1})),
    ("FRM-4", "selection 7", cbor({0: 4, 1: [7]})),
    ("FRM-4", "an empty selection", cbor({0: 4, 1: []})),
    ("FRM-4", "a selection of no parts", cbor({0: 4, 1: [5]})),
    ("FRM-4", "a selection of 257 parts", cbor({0: 4, 1: [5] + [[1, n] for n in range(257)]})),
    ("FRM-4", "a selection of a part without its octet", cbor({0: 4, 1: [5, [1]]})),
    ("FRM-4", "a selection of all with something", cbor({0: 4, 1: [0, 1]})),
    ("FRM-4", "a range of no octets", cbor({0: 4, 1: [6, 1, 0, 0]})),
    ("FRM-4", "a range past 2^20 octets", cbor({0: 4, 1: [6, 1, 0, 2**20 + 1]})),
    ("FRM-4", "disposition 8", one([8])),
    ("FRM-4", "an empty disposition", one([])),
    ("FRM-4", "accepted with a reason", one([0, "2.0.0"])),
    ("FRM-4", "a refusal without text", one([1, "5.7.1"])),
    ("FRM-4", "a refusal with 513 octets of text", one([1, "5.7.1", "x" * 513])),
    ("FRM-4", "pending with a cookie of 31 octets", one([2, COOKIE[:31], 1, 1, 1])),
    ("FRM-4", "pending with seconds past 32 bits", one([2, COOKIE, 2**32, 1, 1])),
    ("FRM-4", "redirected to a name", one([4, "mx.test", 7625, b"x" * 32, b"", 1])),
    ("FRM-4", "redirected to port 65536", one([4, "192.0.2.1", 65536, b"x" * 32, b"", 1])),
    ("FRM-4", "redirected with a ticket of 257 octets", one([4, "192.0.2.1", 1, b"x" * 32, b"x" * 257, 1])),
    ("FRM-4", "101 dispositions", cbor({0: 5, 1: [[0]] * 101})),
    ("FRM-4", "1,001 cookies", cbor({0: 6, 1: [COOKIE] * 1001})),
    ("FRM-4", "answer 4", cbor({0: 7, 1: [[4]]})),
    ("FRM-4", "a password of 1,025 octets", cbor({0: 16, 1: "a", 2: "p" * 1025, 3: "d"})),
    ("FRM-4", "an account of 255 octets", cbor({0: 16, 1: "a" * 255, 2: "p", 3: "d"})),
    ("FRM-4", "a flag seen that is no boolean", cbor({0: 20, 1: [{**ENTRY, 6: 0}]})),
    ("FRM-4", "101 entries", cbor({0: 20, 1: [{**ENTRY, 7: []}] * 101})),
    ("FRM-5", "a control character", cbor({0: 11, 1: "5.5.4", 2: "a\x1b[2J"})),
    ("FRM-5", "text that is not UTF-8", b"\xa3\x00\x0b\x01\x655.5.4\x02\x61\xff"),
    ("FRM-5", "a code of class 3", one([1, "3.7.1", ""])),
    ("FRM-5", "a code with a leading zero", one([1, "5.07.1", ""])),
    ("FRM-5", "a code of two numbers", one([1, "5.7", ""])),
    ("FRM-5", "a recipient without domain", offer_with(4, ["bo"])),
    ("FRM-5", "a domain in upper case", offer_with(4, ["bo@South.test"])),
    ("FRM-4", "a ticket of 257 octets", offer_with(8, b"x" * 257)),
    ("FRM-4", "a ticket in text", offer_with(8, "x")),
    ("FRM-4", "a ticket where the redirect has failed", cbor({**OFFER, 8: TICKET, 9: True})),
    ("FRM-4", "a redirect that has failed by a number", offer_with(9, 1)),
    ("FRM-4", "a doorstep at port 65536", cbor({0: 28, 1: 65536})),
    ("FRM-4", "a lease at a name", cbor({0: 29, 1: 300, 2: "mx.test", 3: TICKET_KEY})),
    ("FRM-4", "a ticket key of 31 octets", cbor({0: 29, 1: 300, 2: "192.0.2.1", 3: TICKET_KEY[:31]})),
    ("FRM-4", "a report of nothing", cbor({0: 30, 1: []})),
    ("FRM-4", "a report of 101 deliveries", cbor({0: 30, 1: [[IDENTITY, "bo@south.test", "north.test"]] * 101})),
    ("FRM-5", "a report of a delivery from no domain", cbor({0: 30, 1: [[IDENTITY, "bo@south.test", "north"]]})),
    ("FRM-5", "keys of no address", cbor({0: 32, 1: "ada"})),
    ("FRM-4", "a size of a log in text", cbor({0: 32, 1: "ada@north.test", 2: "3"})),
    ("FRM-4", "a head of 1,025 octets", cbor({**KEY_ANSWER, 1: b"h" * 1025})),
    ("FRM-4", "25 records of a key", cbor({**KEY_ANSWER, 2: [[b"r", 0, []]] * 25})),
    ("FRM-4", "a record of 2,049 octets", cbor({**KEY_ANSWER, 2: [[b"r" * 2049, 0, []]]})),
    ("FRM-4", "a record without its way", cbor({**KEY_ANSWER, 2: [[b"r", 0]]})),
    ("FRM-4", "a way of 35 steps", cbor({**KEY_ANSWER, 2: [[b"r", 0, [b"s" * 32] * 35]]})),
    ("FRM-4", "a step of 31 octets", cbor({**KEY_ANSWER, 2: [[b"r", 0, [b"s" * 31]]]})),
    ("FRM-4", "a proof of nothing", cbor({**KEY_ANSWER, 3: []})),
    ("FRM-4", "a statement of 1,025 octets", cbor({0: 34, 1: b"s" * 1025})),
    ("FRM-4", "a statement in text", cbor({0: 34, 1: "statement"})),
    ("FRM-4", "what is to be forgotten by a number", cbor({0: 35, 1: "ada@north.test", 2: 1})),
    ("FRM-4", "five pins", cbor({**PINS, 1: PINS[1] * 5})),
    ("FRM-4", "a pin of three members", cbor({**PINS, 1: [PINS[1][0][:3]]})),
    ("FRM-4", "a finding 8", cbor({0: 20, 1: [{**ENTRY, 8: 8}]})),
    ("FRM-5", "a hop by no domain", offer_with(5, [["relay", 1]])),
]
TOLERATED = [
    # What a receiver takes although no sender of ours writes it: the frame it means is named.
    ("FRM-1", "a length in 8 octets", "done", b"\xc0\0\0\0\0\0\0\x03" + cbor({0: 10})),
    ("FRM-2", "keys out of order", "want: headers", framed(b"\xa2\x01\x81\x01\x00\x04")),
    ("FRM-2", "indefinite lengths", "want: headers", framed(b"\xbf\x00\x04\x01\x9f\x01\xff\xff")),
    ("FRM-2", "an integer in a longer form", "want: headers", framed(b"\xa2\x00\x18\x04\x01\x81\x18\x01")),
    ("FRM-3", "an unknown key", "want: headers", framed(cbor({0: 4, 1: [1], 99: {1: "new"}}))),
    ("FRM-3", "an unknown key within", "offer of a submission to be sent", framed(cbor({**OFFER, 6: 1, 7: {2: 0, 50: 1}}))),
]


def main():
    write("message.json", {
        "accepted": ACCEPTED,
        "refused": [{"rule": rule, "name": name, "octets": octets.hex()} for rule, name, octets in REFUSED],
        "bad_manifests": [{"rule": rule, "name": name, "octets": octets.hex()} for rule, name, octets in BAD_MANIFESTS],
        "file": {"prelude": file_form([AUTHOR, SUBMISSION]).hex(), "seals": [AUTHOR.hex(), SUBMISSION.hex()]},
    })
    write("seals.json", {
        "keys": [{"name": name, "seed": SEEDS[name].hex(), "public": PUBLIC[name].hex(), "id": KEY_IDS[name].hex()}
                 for name in SEEDS],
        "cases": SEALS,
        "weak": WEAK,
        "list": cbor([AUTHOR, SUBMISSION]).hex(),
    })
    write("keys.json", {
        "domain_key": PUBLIC["north.test"].hex(), "selector": "w1",
        "made": {"seed": SEEDS["ada"].hex(), "later": ADA_NEXT.hex(), "domain_seed": SEEDS["north.test"].hex(), "now": NOW},
        "statements": [{"rule": rule, "name": name, "expect": expect, "octets": octets.hex()}
                       for rule, name, expect, octets in STATEMENTS],
        "records": [{"rule": rule, "name": name, "expect": expect, "octets": octets.hex()}
                    for rule, name, expect, octets in RECORDS],
        "links": [{"rule": rule, "name": name, "expect": expect, "before": before.hex(), "octets": octets.hex()}
                  for rule, name, expect, before, octets in LINKS],
        "chains": CHAINS,
        "heads": [tree_head(LOG).hex()],
        "answers": ANSWERS,
    })
    write("ticket.json", {
        "key": TICKET_KEY.hex(), "recipient": "bo@south.test", "identity": IDENTITY.hex(), "domain": "north.test",
        "key_digest": SENDER_KEY_DIGEST.hex(), "expiry": TICKET_EXPIRY, "ticket": TICKET.hex(),
    })
    write("frames.json", {
        "frames": [{"name": name, "octets": framed(cbor(value)).hex()} for name, value in FRAMES.items()],
        "tolerated": [{"rule": rule, "name": name, "means": means, "octets": octets.hex()}
                      for rule, name, means, octets in TOLERATED],
        "refused": [{"rule": rule, "name": name, "octets": framed(octets).hex()} for rule, name, octets in BAD_FRAMES],
    })


if __name__ == "__main__":
    main()
