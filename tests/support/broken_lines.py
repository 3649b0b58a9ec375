"""Lines after accidents: values written otherwise, and bytes cut, doubled, flipped or put in."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NASTY = (
    *(b"\xff", b"\x00", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x85"),
    *(b'"', b"\\", b"\\u", b"\\ud83d", b"{", b"}", b"[", b"]", b":", b",", b"\r", b"\t", b" "),
    *(b"null", b"NaN", b"-Infinity", b"1e999", b"-0", b"0x1f", b"true", b'""', b"{}", b"[[[["),
)
VALUES = (
    *("null", "true", "false", "0", "-0", "1", "1.0", "-1", "1e3", "1e-7", "1e308", "1e309"),
    *("0.1", "7.5", "2147483648", "9007199254740993", "9223372036854775808", "1" * 400, "NaN"),
    *("Infinity", '"NaN"', '""', '" "', '"1"', '"true"', '"\\u0000"', '"\\ud800"', '"é"', '"a"'),
    *('"2019-07-10T11:00:00Z"', '"2019-07-10"', '"24:00"', '"2019-13-01T00:00:00Z"', '"0000"'),
    *("[]", "{}", "[1]", '{"temp": 2}', '{"temp": null}', '{"temp": {"temp": 1}}'),
)


def broken_lines(good: Mapping[str, Any], n: int, seed: int) -> Iterator[bytes]:
    """Yield so many lines of JSON, without line feeds: one in ten is whole, the others are not."""
    chance = random.Random(seed)
    parts = {name: json.dumps(value, ensure_ascii=False) for name, value in good.items()}
    for _ in range(n):
        pairs = list(parts.items())
        kind = chance.random()
        if kind > 0.1:
            pairs = _written_otherwise(pairs, chance)
        line = ("{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}").encode()
        if kind > 0.5:
            for _ in range(chance.choice((1, 1, 1, 2, 5))):
                line = _after_accident(line, chance)
        yield line.replace(b"\n", b" ")


def _written_otherwise(
    pairs: Sequence[tuple[str, str]], chance: random.Random
) -> list[tuple[str, str]]:
    changed = list(pairs)
    for _ in range(chance.choice((1, 1, 2, 3))):
        place = chance.randrange(len(changed) + 1)
        name = chance.choice(pairs)[0] if chance.random() < 0.9 else "extra"
        new = (name, chance.choice(VALUES))
        changed[place : place + chance.choice((0, 1, 1, 1))] = [new]
    if chance.random() < 0.3:
        chance.shuffle(changed)
    return changed


def _after_accident(line: bytes, chance: random.Random) -> bytes:
    first, last = sorted((chance.randrange(len(line) + 1), chance.randrange(len(line) + 1)))
    last = min(last, first + 8)
    kind = chance.randrange(6)
    if kind == 0:
        return line[:first]
    if kind == 1:
        return line[:last] + line[first:]
    if kind == 2:
        return line[:first] + line[last:]
    if kind == 3:
        return line[:first] + chance.choice(NASTY) + line[last:]
    if kind == 4:
        return line[:first] + chance.randbytes(last - first) + line[last:]
    flipped = bytearray(line)
    for place in range(first, min(last, len(line))):
        flipped[place] ^= 1 << chance.randrange(8)
    return bytes(flipped)
