"""Check what `medproto audit prove` or `medproto audit export` wrote, without medproto: only Python and cryptography.

    python verify_proof.py FILE --key KEY [--old-key KEY ...]

KEY is the ledger's public key as `medproto audit key` prints it, obtained elsewhere than the file. Exit 0: proved;
1: the file does not prove what it says; 2: it cannot be checked.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

# A C2SP signed note: origin, size, root, lines of extension, an empty line, signatures.
NOTE = re.compile(r"([^\n]+)\n([1-9]\d{0,18})\n([\w+/]{43}=)\n(?:[^\n]+\n)*\n((?:— [^ \n]+ [\w+/=]+\n)+)", re.ASCII)
LIMITS = """\
Not proved: that what the entries say is true, or their times right; that all that happened was logged; what came after
the last entry covered; that the key is the ledger's, if it came with the file; that its holder signed no other history
for somebody else: compare size and root with the checkpoints you kept."""
MALFORMED = (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, InvalidSignature)
KeyId = tuple[str, bytes]  # name and key hash


class CannotCheck(Exception):
    """Neither proved nor disproved."""


def need(holds: object, sentence: str) -> None:
    if not holds:
        raise ValueError(sentence)


def unbase64(text: str) -> bytes:
    raw = base64.b64decode(text, validate=True)
    need(base64.b64encode(raw).decode() == text, "base64 in another spelling than the canonical one")
    return raw


def shown(root: bytes) -> str:
    """A root as checkpoints spell it."""
    return base64.b64encode(root).decode()


def unhex(texts: list[str]) -> list[bytes]:
    need(all(re.fullmatch("[0-9a-f]{64}", text) for text in texts), "a hash is not 64 hex digits")
    return [bytes.fromhex(text) for text in texts]


def fields(line: str, *names: str) -> dict[str, Any]:
    """A line's fields, which must be exactly these, each once."""
    pairs = json.loads(line, object_pairs_hook=list)
    need(sorted(name for name, _ in pairs) == sorted(names), "fields are missing, unknown or named twice")
    return dict(pairs)


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(roots: list[bytes]) -> bytes:
    """Root over perfect subtrees, largest first (RFC 6962 section 2.1)."""
    root = roots[-1] if roots else hashlib.sha256(b"").digest()
    for left in reversed(roots[:-1]):
        root = node(left, root)
    return root


def included(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Root to which the path, used up from its end, leads from the leaf (section 2.1.1)."""
    if size == 1:
        return leaf
    split, other = 1 << (size - 1).bit_length() - 1, path.pop()
    if index < split:
        return node(included(leaf, index, split, path), other)
    return node(other, included(leaf, index - split, size - split, path))


def extended(small: int, size: int, path: list[bytes], old: bytes | None) -> tuple[bytes, bytes]:
    """Roots of the first `small` leaves and of all, by a path used up from its end (section 2.1.2); `old` is known."""
    if small == size:
        root = old or path.pop()
        return root, root
    split, other = 1 << (size - 1).bit_length() - 1, path.pop()
    if small <= split:
        first, whole = extended(small, split, path, old)
        return first, node(whole, other)
    first, whole = extended(small - split, size - split, path, None)
    return node(other, first), node(other, whole)


def read_key(vkey: str) -> tuple[KeyId, Ed25519PublicKey]:
    """The key of `name+hash+base64(0x01 || 32 bytes)`."""
    name, digest, key = vkey.split("+", 2)
    raw = unbase64(key)
    known = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    need(known.hex() == digest and raw[:1] == b"\x01", "not a key, or its hash is not its own")
    return (name, known), Ed25519PublicKey.from_public_bytes(raw[1:])


def checkpoint(note: str, keys: dict[KeyId, Ed25519PublicKey], must: KeyId | None = None) -> tuple[int, bytes]:
    """Size and root of a note on which every signature holds, one of them by the key `must`."""
    match, signers = NOTE.fullmatch(note), set()
    if match is None:
        raise ValueError("a checkpoint is no signed note")
    for line in match[4].splitlines():
        name, raw = line.split(" ")[1], unbase64(line.split(" ")[2])
        need(name == match[1] and (name, raw[:4]) in keys, "a checkpoint was signed by a key that was not given")
        keys[name, raw[:4]].verify(raw[4:], note[: match.start(4) - 1].encode())
        signers.add((name, raw[:4]))
    need(must is None or must in signers, "the key in force has not signed the checkpoint")
    return int(match[2]), unbase64(match[3])


def entry(line: dict[str, Any], size: int, root: bytes) -> tuple[bytes, dict[str, Any]]:
    """Leaf and body of an entry that its path shows in the tree of this size and root."""
    data, (leaf,), path, number = (
        line["entry"].encode(),
        unhex([line["leaf"]]),
        unhex(line["inclusion"]),
        line["number"],
    )
    need(hashlib.sha256(b"\x00" + data).digest() == leaf, "an entry's bytes do not hash to its leaf")
    need(type(number) is int and 1 <= number <= size, "the checkpoint does not cover the entry")
    need(included(leaf, number - 1, size, path) == root and not path, "an entry is not in the checkpoint")
    body = json.loads(data)
    need(body["number"] == number, "an entry says that it has another number")
    return leaf, body


def check_proof(proof: dict[str, Any], keys: dict[KeyId, Ed25519PublicKey], must: KeyId) -> None:
    size, root = checkpoint(proof["checkpoint"], keys, must)
    body, path = entry(proof, size, root)[1], unhex(proof["consistency"])
    if proof["older"] is not None:
        small, old = checkpoint(proof["older"], keys)
        need(small <= size and extended(small, size, path, old) == (old, root), "the older checkpoint is not extended")
        print(f"Proved: the {size} entries begin with the {small} under root {shown(old)}.")
    need(not path, "the consistency path is too long")
    print(f"Proved: signed by {must[0]} as entry {body['number']} of {size}, root {shown(root)}:")
    print(", ".join(f"{name} {json.dumps(body[name])}" for name in ("kind", "time", "actor", "role")))


def check_export(head: dict[str, Any], lines: Iterator[str], keys: dict[KeyId, Ed25519PublicKey], must: KeyId) -> None:
    (size, root), roots, first = checkpoint(head["checkpoint"], keys, must), unhex(head["frontier"]), head["first"]
    need(
        type(first) is int and 1 <= first <= size and len(roots) == bin(first - 1).count("1"),
        "the frontier does not fit the first entry",
    )
    count, notes, before, previous, line = first - 1, 0, root_of(roots), None, "{}"
    for line in lines:
        if line.startswith('{"checkpoint"'):
            signed = checkpoint(fields(line, "checkpoint")["checkpoint"], keys)
            need(signed == (count, root_of(roots)), "a checkpoint covers other entries")
            notes += 1
        elif line.startswith('{"entry"'):
            leaf, body = entry(fields(line, "number", "leaf", "entry", "inclusion"), size, root)
            need(body["number"] == count + 1, "entries are out of order")
            need(previous in (None, body["previous"]), "an entry names another before it")
            roots, previous, merging, count = [*roots, leaf], leaf.hex(), count, count + 1
            while merging & 1:
                roots[-2:], merging = [node(*roots[-2:])], merging >> 1
        else:
            break
    end = {"first": first, "size": size, "root": root.hex(), "entries": size - first + 1, "checkpoints": notes}
    said = json.dumps(fields(line, *end), sort_keys=True)
    need(said == json.dumps(end, sort_keys=True) and not next(lines, None), "the end says otherwise")
    need(count == size and root_of(roots) == root, "entries are missing")
    print(f"Proved: signed by {must[0]} as entries {first} to {size}, root {shown(root)}; none is left out,")
    print(f"{notes} checkpoints on the way hold; root of what lies before: {shown(before)}.")


def check(file: Iterator[str], vkeys: list[str]) -> None:
    """Check proof or export against these keys, the one in force first; ValueError and its like where it fails."""
    try:
        keys, must = dict(map(read_key, vkeys)), read_key(vkeys[0])[0]
        line = next(file, "")
        form = json.loads(line)["format"]
        need(form in ("medproto-proof/1", "medproto-export/1"), "the file is neither a proof nor an export")
    except MALFORMED as err:
        raise CannotCheck(f"key or first line: {type(err).__name__}: {err}") from err
    export = form == "medproto-export/1"
    own = "first frontier" if export else "number leaf entry inclusion older consistency"
    data = fields(line, "format", "checkpoint", "vkeys", *own.split())
    need(vkeys[0] in data["vkeys"] and set(data["vkeys"]) <= set(vkeys), "the file names other keys than given")
    if export:
        return check_export(data, file, keys, must)
    need(not next(file, None), "lines follow the proof")
    return check_proof(data, keys, must)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="proof or export")
    parser.add_argument("--key", required=True, help="public key in force, obtained elsewhere")
    parser.add_argument("--old-key", action="append", default=[], help="public key before it, obtained elsewhere")
    given = parser.parse_args()
    try:
        with open(given.file, encoding="utf-8") as file:
            check(file, [key.strip() for key in (given.key, *given.old_key)])
    except (OSError, CannotCheck) as err:
        print(f"Cannot be checked: {err}")
        return 2
    except MALFORMED as err:
        print(f"NOT PROVED: {type(err).__name__}: {err}")
        return 1
    print(LIMITS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
