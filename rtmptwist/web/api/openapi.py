"""The API's document, by OpenAPI 3.1: made of the table of routes and the types of its answers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints, is_typeddict

from rtmptwist import __version__
from rtmptwist.web.api.route import Route
from rtmptwist.web.parameters import Parameter

ENDLESS: Final = "endless"
"The tag of what goes on until the client leaves."

_PLAIN: Final = {str: "string", int: "integer", float: "number", bool: "boolean"}
_PROBLEM: Final = {
    "type": "object",
    "description": "An error, by RFC 9457.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "All that is wrong, where it may be much: a line each.",
            "items": {"type": "string"},
        },
    },
    "required": ["type", "title", "status", "detail"],
}
_ERRORS: Final = {
    "default": {
        "description": "It was not done; `detail` says why.",
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
}
_MEANT: Final = {
    "name": "X-Requested-With",
    "in": "header",
    "description": "Anything; not needed with a bearer token.",
    "required": False,
    "schema": {"type": "string"},
}

_READ_LAST: Final = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The `id` of the last event that was read: those after it come first.",
    "required": False,
    "schema": {"type": "string", "pattern": "^[0-9]{1,16}$"},
}


def document(routes: Iterable[Route], prefix: str) -> dict[str, Any]:
    """All of it."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for shown in route.tells.values():
            _schema(shown, schemas)
        path = "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rtmptwist",
            "version": __version__,
            "description": "What the server does, and what operators may have it do.",
        },
        "servers": [{"url": prefix.rstrip("/")}],
        "security": [{"token": []}, {"password": []}, {}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "password": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    names = re.findall(r"<(?:\w+:)?(\w+)>", route.path)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in names
    ]
    parameters += [
        {
            "name": name,
            "in": "query",
            "description": parameter.words,
            "required": parameter.required,
            "schema": parameter.schema,
            **({"style": "form", "explode": False} if parameter.many else {}),
        }
        for name, parameter in route.query.items()
    ]
    if route.method != "GET":
        parameters.append(_MEANT)
    if route.tells:
        parameters.append(_READ_LAST)
    operation: dict[str, Any] = {
        "summary": route.words,
        "operationId": route.handle.__name__,
        "parameters": parameters,
        "responses": {str(route.status.value): _response(route, schemas), **_ERRORS},
    }
    if route.tells or route.sends:
        operation["tags"] = [ENDLESS]
    if route.body is not None:
        schema = _object(route.body)
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _response(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.shows is not None:
        schema = _schema(route.shows, schemas)
        if route.paged:
            count = {"type": "integer", "minimum": 0}
            properties: dict[str, Any] = {"items": {"type": "array", "items": schema}}
            properties |= dict.fromkeys(("total", "offset", "limit"), count)
            schema = {"type": "object", "properties": properties, "required": [*properties]}
        response["content"] = {"application/json": {"schema": schema}}
    if route.tells:
        names = ", ".join(
            f"{shown.__name__.removesuffix('View')} ({kinds})"
            for kinds, shown in route.tells.items()
        )
        words = f"Server-Sent Events; data is JSON in one line, by the event's name: {names}."
        text = {"type": "string", "description": words}
        response["content"] = {"text/event-stream": {"schema": text}}
    if route.sends:
        response["content"] = {route.sends: {"schema": {"type": "string", "format": "binary"}}}
    return response


def _object(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """The body of a change."""
    return {
        "type": "object",
        "properties": {
            name: {**parameter.schema, "description": parameter.words}
            for name, parameter in parameters.items()
        },
        "required": [name for name, parameter in parameters.items() if parameter.required],
        "additionalProperties": False,
    }


def _schema(shown: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """Of a type, as JSON has it; those that have names are kept in `schemas`."""
    if shown in _PLAIN:
        return {"type": _PLAIN[shown]}
    origin, arguments = get_origin(shown), get_args(shown)
    if origin is UnionType:
        (inner,) = (each for each in arguments if each is not NoneType)
        return {"type": [_PLAIN[inner], "null"]}
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0], schemas)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], schemas)}
    assert is_typeddict(shown)
    name = shown.__name__.removesuffix("View")
    if name not in schemas:
        hints = get_type_hints(shown)
        schemas[name] = {
            "type": "object",
            "description": inspect.cleandoc(shown.__doc__ or ""),
            "properties": {key: _schema(hint, schemas) for key, hint in hints.items()},
            "required": list(hints),
            "additionalProperties": False,
        }
    return {"$ref": f"#/components/schemas/{name}"}
