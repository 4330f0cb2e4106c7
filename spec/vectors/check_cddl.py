#!/usr/bin/env python3
"""Holds `../waxwing.cddl` against the vectors: what is right passes, and what is wrong does not, where CDDL can see it.

    pip install zcbor 'cbor2<6'
    python3 check_cddl.py

The Rust tests do the same with the crate `cddl` (`tests/tests/cddl.rs`); this is the second opinion, with zcbor.
"""

import contextlib
import io
import json
import pathlib
import re
import sys

import cbor2
import zcbor

HERE = pathlib.Path(__file__).parent

# What CDDL cannot say, and where it is said instead.
IN_WORDS = {
    "an offer with a recipient twice": "FRM-4",
    "content of a body without its part": "FRM-4: which keys go with which piece",
    "redirected to a name": "FRM-4: the form of the address of a host",
    "a lease at a name": "FRM-4: the form of the address of a host",
    "a ticket where the redirect has failed": "DOOR-1",
    "a report of a delivery from no domain": "02-addresses.md",
    "a control character": "FRM-5",
    "a domain in upper case": "02-addresses.md",
    "a hop by no domain": "02-addresses.md",
    "nested deeper than 36": "FRM-2",
    "octets after the map": "FRM-2",
    "a key twice": "FRM-3",
}
# What CDDL says and this validator does not see: it takes `uint` for any integer, knows no cuts and no `.regexp`, and wants
# the keys of a map in the order in which they are written there.
NOT_SEEN = {
    "a critical key", "a critical key within", "a negative length", "sign only that is no boolean", "content of part 256",
    "content with a last that is no boolean", "a code of class 3", "a code with a leading zero",
}
IN_ANOTHER_ORDER = {"a header that is not in the deterministic order"}


def load(name):
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def main():
    text = (HERE.parent / "waxwing.cddl").read_text(encoding="utf-8")
    text = re.sub(r'\.regexp "[^"]*"', ".size (5..9)", text)
    types = zcbor.DataTranslator.from_cddl(text, default_max_qty=2000).my_types
    faults = []

    def check(name, rule, octets, good):
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # It prints what it tries.
                types[rule].validate_str(octets)
            found = None
        except Exception as error:  # The validator has no one type of error.
            found = f"{type(error).__name__}: {error}"[:200]
        if (found is None) != good:
            faults.append(f"{name}: {found or 'is allowed'}")

    def unframed(case):
        octets = bytes.fromhex(case["octets"])
        return octets[1 << (octets[0] >> 6) :]

    frames, message, seals = load("frames.json"), load("message.json"), load("seals.json")
    for case in frames["frames"]:
        check(case["name"], "frame", unframed(case), True)
    for case in frames["refused"]:
        check(case["name"], "frame", unframed(case), case["name"] in IN_WORDS or case["name"] in NOT_SEEN)
    for case in message["accepted"]:
        check(case["name"], "manifest", bytes.fromhex(case["manifest"]), True)
    for case in seals["cases"]:
        if case["expect"] == "verified" and case["name"] not in IN_ANOTHER_ORDER:
            seal = bytes.fromhex(case["seal"])
            check(case["name"], "seal", seal, True)
            check(case["name"], "protected", cbor2.loads(seal)[0], True)
    check("list", "seals", bytes.fromhex(seals["list"]), True)
    print("\n".join(faults) or "the CDDL agrees with the vectors")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
