"""Tables that commands write into documents, between lines `<!-- NAME -->` and `<!-- end of NAME -->`."""
import pathlib


def replace_table(path, name, lines):
    path = pathlib.Path(path)
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    text = path.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise SystemExit(f"{path}: no lines {begin.strip()} and {end.strip()}")
    path.write_text(before + begin + "\n".join(lines) + "\n" + end + after, encoding="utf-8")
