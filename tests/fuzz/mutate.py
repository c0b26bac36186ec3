"""Mutations: of bytes, of text, and of the values of JSON, by a random generator that is given."""

import copy
import json
import string

INTERESTING = (0, 1, 2, 7, 8, 15, 16, 127, 128, 255, 256, 4095, 65535, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 60)
INTERESTING += (1 << 63, (1 << 64) - 16, (1 << 64) - 8, (1 << 64) - 1)


class Raw(str):
    """A piece of JSON that is written as it is, whether or not it is any."""

    __slots__ = ()


ODD = (
    None,
    True,
    False,
    0,
    -1,
    1,
    3,
    1 << 31,
    1 << 63,
    -(1 << 70),
    0.5,
    -0.0,
    1e308,
    "",
    "x",
    "é\u2028",
    "\x00",
    "a" * 5000,
    "../../x",
    "/etc/hostname",
    "1",
    "nan",
    [],
    {},
    [[]],
    [None],
    [1, 2, 3],
    {"a": {}},
    {"": []},
    Raw("NaN"),
    Raw("-Infinity"),
    Raw("1e999"),
    Raw('"\\ud800"'),
    Raw("1" * 400),
    Raw("1" * 5000),
    Raw("[" * 70 + "]" * 70),
    Raw("[" * 3000 + "]" * 3000),
    Raw('{"a":' * 2000 + "1" + "}" * 2000),
    Raw("01"),
    Raw(""),
)


def mutated_bytes(rng, data):
    """Return bytes with one to four changes: bits, numbers of 1 to 8 bytes, pieces left out, repeated, moved or inserted."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        _change(rng, data)
    return bytes(data)


def _change(rng, data):
    n = len(data)
    if not n:
        data.extend(rng.randbytes(rng.randrange(1, 20)))
        return
    at, kind = rng.randrange(n), rng.randrange(9)
    size = min(n - at, rng.choice((1, 2, 4, 8, 16, 64, 1000)))
    if kind == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    elif kind == 2:
        width = rng.choice((1, 2, 4, 8))
        number = rng.choice(INTERESTING) % (1 << (8 * width))
        data[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))
    elif kind == 3:
        del data[at:]
    elif kind == 4:
        del data[at : at + size]
    elif kind == 5:
        data[at:at] = data[at : at + size]
    elif kind == 6:
        to = rng.randrange(n)
        data[to : to + size] = data[at : at + size]
    elif kind == 7:
        data[at:at] = rng.randbytes(rng.choice((1, 2, 8, 100)))
    else:
        data[at : at + size] = bytes(size)


def mutated_text(rng, text, tokens):
    """Return a text with one to four changes: lines repeated, left out or swapped, and some tokens put in or over others."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        lines = text.split("\n")
        i, j, kind = rng.randrange(len(lines)), rng.randrange(len(lines)), rng.randrange(7)
        if kind == 0:
            lines[i:i] = [lines[i]] * rng.choice((1, 2, 50))
        elif kind == 1:
            del lines[i]
        elif kind == 2:
            lines[i], lines[j] = lines[j], lines[i]
        elif kind == 3:
            lines[i] += rng.choice(tokens)
        else:
            line, token = lines[i], rng.choice(tokens)
            at = rng.randrange(len(line) + 1)
            over = 0 if kind == 4 else rng.randrange(8)
            lines[i] = line[:at] + token + line[at + over :]
        text = "\n".join(lines)
    return text


def mutated_json(rng, value):
    """Return a JSON text of a value with one to three changes: of types, keys, numbers, lengths and depths."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 2, 3))):
        value = _change_value(rng, value)
    return written(value)


def _change_value(rng, value):
    containers = list(_containers(value))
    if not containers or rng.random() < 0.03:
        return _odd(rng)
    into = rng.choice(containers)
    keys = list(into) if isinstance(into, dict) else list(range(len(into)))
    kind = rng.randrange(10)
    if not keys or kind == 0:
        _put(rng, into, _odd(rng))
        return value
    key = rng.choice(keys)
    if kind <= 4:
        into[key] = _odd(rng)
    elif kind == 5:
        del into[key]
    elif kind == 6:
        into[key] = rng.choice(([into[key]], {"a": into[key]}, str(into[key]), [into[key]] * 300))
    elif kind == 7:
        other = rng.choice(keys)
        into[key], into[other] = into[other], into[key]
    elif kind == 8 and isinstance(into, dict):
        into[_key(rng, key)] = into.pop(key)
    else:
        _put(rng, into, into[key])
    return value


def _odd(rng):
    # A copy: what is put into one input must not be in the next.
    return copy.deepcopy(rng.choice(ODD))


def _containers(value):
    if isinstance(value, dict | list):
        yield value
        for each in value.values() if isinstance(value, dict) else value:
            yield from _containers(each)


def _put(rng, into, value):
    if isinstance(into, dict):
        into[_key(rng, next(iter(into), "a"))] = value
    else:
        into.insert(rng.randrange(len(into) + 1), value)


def _key(rng, key):
    # A key that is a Raw is written beside the key that it equals: one key twice.
    return rng.choice(
        (key + "x", key[:-1], "", "k" * 3000, key.upper(), Raw(json.dumps(key)), rng.choice(string.printable))
    )


def written(value):
    """Return a value as JSON, what is `Raw` in it as it is."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        names = (str(name) if isinstance(name, Raw) else json.dumps(name) for name in value)
        return (
            "{" + ", ".join(f"{name}: {written(each)}" for name, each in zip(names, value.values(), strict=True)) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(written(each) for each in value) + "]"
    return json.dumps(value)
