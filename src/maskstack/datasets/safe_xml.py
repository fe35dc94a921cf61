"""Reading XML that may come from anywhere."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from maskstack.errors import InputError
from maskstack.errors import reason

LARGEST = 10_000_000  # Bytes; an annotation of one picture has a few thousand.


def parse(path: Path) -> Element:
    """The root element of a file.

    A document type, which is where entities that grow without end or read other files are declared, is refused.

    Raises:
        InputError: The file cannot be read, is too large, has a document type, or is no XML.
    """

    def refuse(*_: object) -> None:
        raise InputError(f"{path} has a document type, which no annotation needs; remove <!DOCTYPE ...>")

    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path} is larger than {LARGEST} bytes, too large for the annotation of one picture")
        parser.Parse(path.read_bytes(), True)
        return builder.close()
    except (OSError, expat.ExpatError) as error:
        raise InputError(f"{path} cannot be read as XML ({reason(error)}); get a whole copy of it") from error
