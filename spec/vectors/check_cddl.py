#!/usr/bin/env python3
"""Holds `../waxwing.cddl` against the vectors: what is right passes, and what is wrong does not, where CDDL can see it.

    pip install pycddl cbor2
    python3 check_cddl.py

It is no test of the Rust code, and no Rust test: a CDDL validator brings sixty crates with it, more than the whole of
the reason floor.
"""

import json
import pathlib
import sys

import cbor2
import pycddl

HERE = pathlib.Path(__file__).parent
CDDL = (HERE.parent / "waxwing.cddl").read_text(encoding="utf-8")

# What CDDL cannot see, and where it is said instead.
UNSEEN = {
    "an offer with a recipient twice": "FRM-4, in words",
    "content of a body without its part": "FRM-4: which keys go with which piece",
    "redirected to a name": "FRM-4: the form of the address of a host",
    "a control character": "FRM-5",
    "a recipient without domain": "02-addresses.md",
    "a domain in upper case": "02-addresses.md",
    "a hop by no domain": "02-addresses.md",
    "nested deeper than 36": "FRM-2",
    "a key twice": "FRM-3",
    "octets after the map": "FRM-2",
}


def load(name):
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def fault(rule, octets):
    """Why the octets are not what the rule describes; None where they are. Validation begins at the first rule."""
    try:
        pycddl.Schema(f"start = {rule}\n{CDDL}").validate_cbor(octets)
    except (pycddl.ValidationError, ValueError) as error:
        return str(error) or "refused"
    return None


def unframed(case):
    octets = bytes.fromhex(case["octets"])
    return octets[1 << (octets[0] >> 6) :]


def main():
    faults = []

    def check(name, rule, octets, good):
        found = fault(rule, octets)
        if (found is None) != good:
            faults.append(f"{name}: {found or 'is allowed'}")

    frames, message, seals = load("frames.json"), load("message.json"), load("seals.json")
    for case in frames["frames"]:
        check(case["name"], "frame", unframed(case), True)
    for case in frames["refused"]:
        check(case["name"], "frame", unframed(case), case["name"] in UNSEEN)
    for case in message["accepted"]:
        check(case["name"], "manifest", bytes.fromhex(case["manifest"]), True)
    for case in seals["cases"]:
        if case["expect"] == "verified":
            seal = bytes.fromhex(case["seal"])
            check(case["name"], "seal", seal, True)
            check(case["name"], "protected", cbor2.loads(seal)[0], True)
    check("list", "seals", bytes.fromhex(seals["list"]), True)
    print("\n".join(faults) or "the CDDL agrees with the vectors")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
