"""Documents of reports/ with the fields that a test is about; every other one is as small as its type allows."""

import types
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pipeline.results.document import Document

D = TypeVar("D", bound=Document)


def least(kind: type[D], **fields: Any) -> D:
    """A document with these fields, the others None, 0, empty, or documents that are made so."""
    required = {name: field.annotation for name, field in kind.model_fields.items() if field.is_required()}
    return kind.model_validate({name: _least(annotation) for name, annotation in required.items()} | fields)


def _least(annotation: Any) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return None if type(None) in arguments else _least(arguments[0])
    if origin is Literal:
        return arguments[0]
    if origin in (list, dict):
        return origin()
    if isinstance(annotation, type) and issubclass(annotation, Document):
        return least(annotation)
    return annotation() if isinstance(annotation, type) else 0
