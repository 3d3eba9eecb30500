"""Writes validation.json: what protovalidate's own implementation says about our requests.

Run once after a change of rules, from the root of the repository:

    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install protovalidate grpcio-tools
    /tmp/golden/bin/python shared/contract/tests/golden/generate.py

Every request of every RPC is taken valid, then with one field at a time set to each value that its rules make interesting: at, below and
above a limit, of another form, absent. Long runs of one character are kept as [hex, times].
"""

import importlib
import json
import pathlib
import re
import sys
import tempfile

import protovalidate
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[4]
UUID = "0192f0c1-2d3e-7abc-8def-0123456789ab"
# A text that each pattern of the contract takes; a pattern without one stops the script.
MATCHES = {"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$": "acme", "^[A-Z][A-Z0-9]{1,9}$": "ABC",
           "^[A-Za-z][A-Za-z0-9._-]{2,31}$": "ana.b", "^[0-9]{6}$": "123456"}
ODD_PATTERN = ["", "a", "A", "-a", "a-", "a b", "ABC-1", "aBC", "acme\n", "a" * 63, "A1" * 5, "\u00e9a"]
ODD_UUID = ["", UUID.upper(), UUID.replace("-", ""), UUID[:-1], UUID + "0", "g" + UUID[1:], "{" + UUID + "}", " " + UUID]
ODD_EMAIL = ["", "a", "a@", "@b.example", "a@b", "a@b.example", "A.b+c@b-c.example", "a b@c.example", "a@b..example", "a@-b.example",
             "\u00e9@b.example", "a@b.example\n", "a@" + "b" * 64 + ".example"]


def main():
    services = compile_protos()
    validator = protovalidate.Validator()
    cases = []
    for method in sorted((m for s in services for m in s.methods), key=lambda m: m.full_name):
        for name, message in variants(method.input_type):
            violations = sorted({(path(v.proto.field), v.proto.rule_id) for v in validator.collect_violations(message)})
            cases.append({"message": method.input_type.full_name, "case": name, "body": runs(message.SerializeToString(deterministic=True)),
                          "violations": [list(v) for v in violations]})
    out = pathlib.Path(__file__).with_name("validation.json")
    out.write_text("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
    print(f"{len(cases)} cases, {sum(bool(c['violations']) for c in cases)} with violations", file=sys.stderr)


def compile_protos():
    """Compiles proto/ and returns the descriptors of our services."""
    out = tempfile.mkdtemp()
    roots = [ROOT / "proto/third_party", ROOT / "proto"]
    wanted = [(roots[1], "muster"), (roots[0], "buf"), (roots[0], "google/api")]
    files = [str(file.relative_to(root)) for root, folder in wanted for file in sorted((root / folder).rglob("*.proto"))]
    google = pathlib.Path(protoc.__file__).parent / "_proto"
    if protoc.main(["protoc", *(f"-I{root}" for root in (*roots, google)), f"--python_out={out}", *files]):
        raise SystemExit("protoc failed")
    sys.path.insert(0, out)
    import google as namespace
    namespace.__path__.append(f"{out}/google")
    modules = [importlib.import_module(file.removesuffix(".proto").replace("/", ".") + "_pb2") for file in files if file.startswith("muster/")]
    return [s for m in modules for s in m.DESCRIPTOR.services_by_name.values()]


def rules(field):
    from buf.validate import validate_pb2
    return field.GetOptions().Extensions[validate_pb2.field]


def variants(descriptor):
    """The valid message, the empty one, and the valid one with one field changed."""
    yield "valid", valid(descriptor)
    yield "empty", GetMessageClass(descriptor)()
    for field in descriptor.fields:
        for name, change in changes(field):
            message = valid(descriptor)
            message.ClearField(field.name)
            change(message)
            yield f"{field.name} {name}", message


def valid(descriptor):
    message = GetMessageClass(descriptor)()
    chosen = set()
    for field in descriptor.fields:
        if field.containing_oneof:
            if field.containing_oneof.name in chosen:
                continue
            chosen.add(field.containing_oneof.name)
        if field.is_repeated:
            if field.type == Field.TYPE_MESSAGE:
                getattr(message, field.name).add().CopyFrom(valid(field.message_type))
            else:
                getattr(message, field.name).append(valid_scalar(field, rules(field).repeated.items))
        elif field.type == Field.TYPE_MESSAGE:
            if field.message_type.full_name == "google.protobuf.FieldMask":
                getattr(message, field.name).paths.append(getattr(rules(field).field_mask, "in")[0])
            elif field.message_type.full_name.startswith("muster."):
                getattr(message, field.name).CopyFrom(valid(field.message_type))
        else:
            setattr(message, field.name, valid_scalar(field, rules(field)))
    return message


def valid_scalar(field, rule):
    if field.type == Field.TYPE_STRING:
        if rule.string.uuid:
            return UUID
        if rule.string.email:
            return "ana@muster.example"
        return MATCHES[rule.string.pattern] if rule.string.pattern else "a" * max(1, rule.string.min_len)
    return True if field.type == Field.TYPE_BOOL else 1


def changes(field):
    """Names and functions: each sets the field, which was cleared before, to one value."""
    rule = rules(field)
    yield "absent", lambda message: None
    if field.is_repeated:
        yield from list_changes(field, rule)
    elif field.type == Field.TYPE_MESSAGE:
        if field.message_type.full_name == "google.protobuf.FieldMask":
            allowed = list(getattr(rule.field_mask, "in"))
            for paths in ([], allowed, [allowed[0] + ".deeper"], [allowed[0] + "er"], ["*"], [allowed[0], "etag"], [""]):
                yield f"{paths}", lambda message, paths=paths: getattr(message, field.name).CopyFrom(mask(paths))
        elif field.message_type.full_name.startswith("muster."):
            for name, inner in variants(field.message_type):
                yield name, lambda message, inner=inner: getattr(message, field.name).CopyFrom(inner)
    else:
        for value in odd_scalars(field, rule):
            yield label(value), lambda message, value=value: setattr(message, field.name, value)


def list_changes(field, rule):
    for count in sorted({rule.repeated.min_items, rule.repeated.max_items, rule.repeated.max_items + 1}):
        def fill(message, count=count):
            for _ in range(count):
                if field.type == Field.TYPE_MESSAGE:
                    getattr(message, field.name).add().CopyFrom(valid(field.message_type))
                else:
                    getattr(message, field.name).append(valid_scalar(field, rule.repeated.items))
        yield f"{count} items", fill
    if field.type == Field.TYPE_MESSAGE:
        for name, inner in variants(field.message_type):
            def pair(message, inner=inner):
                getattr(message, field.name).add().CopyFrom(valid(field.message_type))
                getattr(message, field.name).add().CopyFrom(inner)
            yield f"second {name}", pair
    else:
        for value in odd_scalars(field, rule.repeated.items):
            yield f"second {label(value)}", lambda message, value=value: getattr(message, field.name).extend(
                [valid_scalar(field, rule.repeated.items), value])


def odd_scalars(field, rule):
    if field.type == Field.TYPE_STRING:
        if rule.string.uuid:
            return ODD_UUID if field.number == 1 else ODD_UUID[:3]
        odd = ODD_EMAIL if rule.string.email else ODD_PATTERN if rule.string.pattern else [""]
        for limit in (rule.string.min_len, rule.string.max_len):
            odd = odd + ["a" * n for n in (limit - 1, limit, limit + 1) if n > 0]
        for limit in (rule.string.max_len, rule.string.max_bytes):
            odd = odd + [c * n for c in ("\u00e9", "\U0001f98a") for n in (limit // len(c.encode()), limit, limit + 1) if limit]
        odd = odd + ["a" * (rule.string.max_bytes + n) for n in (0, 1) if rule.string.max_bytes]
        return list(dict.fromkeys(odd))
    if field.type == Field.TYPE_ENUM:
        return [0, 1, -1, 99, 2**31 - 1]
    if field.type == Field.TYPE_INT32:
        return [-(2**31), -1, 0, 1, 1000, 1001, 2**31 - 1]
    if field.type == Field.TYPE_INT64:
        return [-(2**63), -1, 0, 1, 2**63 - 1]
    return [False, True]


def mask(paths):
    from google.protobuf.field_mask_pb2 import FieldMask
    return FieldMask(paths=paths)


def label(value):
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:8]} x {len(value)}"


def path(field):
    """As `question.assignee_ids[3]`."""
    return ".".join(e.field_name + (f"[{e.subscript.value}]" if e.subscript else "") for e in field.elements)


def runs(body):
    """Hex, with runs of 32 and more of one character as [hex, times]."""
    out, at = [], 0
    for match in re.finditer(rb"(.)\1{31,}|([\xc0-\xdf].)\2{31,}|([\xf0-\xf7]...)\3{31,}", body, re.DOTALL):
        unit = match[1] or match[2] or match[3]
        out += [body[at:match.start()].hex(), [unit.hex(), len(match[0]) // len(unit)]]
        at = match.end()
    return out + [body[at:].hex()]


if __name__ == "__main__":
    main()
