"""The routes of the dialects: one handler serves all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import reduce
from operator import or_
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError, WrapValidator

from app.body import JSONRequest, check_count, excerpt
from app.description import example, is_shown
from app.dialects.dialect import Body, Dialect, Ranked, Refused, told_to
from app.dialects.names import TRIED, misnamed
from app.drain import DrainedRoute
from app.errors import MEANINGS, Problem, describe
from app.patience import PARAMETERS, Patience
from app.scores import contradicts
from app.service import Service, ServiceDependency


class DialectRequest(JSONRequest):
    """A request to a path of several `dialects`; `dialect` is the one it speaks, once read."""

    dialects: Sequence[Dialect]
    dialect: Dialect | None = None
    patience: Patience

    async def json(self) -> Body:
        """The checked body; raises `HTTPException` with what is wrong, or as `JSONRequest` does."""
        content = await super().json()
        spoken = self.dialects[-1]
        if isinstance(content, dict):
            spoken = next((d for d in self.dialects if d.speaks(self, content)), spoken)
            self.dialect = spoken
            check_count(content, spoken.DOCUMENTS, self.app.state.settings.max_documents)
            if told := misnamed(content, spoken.Body.model_fields):
                raise HTTPException(422, told)
        try:
            return spoken.Body.model_validate(content)
        except ValidationError as error:
            raise HTTPException(422, describe(error.errors(include_input=False))) from error


class DialectRoute(DrainedRoute):
    """A route of `dialects`, whose errors have their shape.

    A request has its place and its deadline from before its body is read.
    """

    waits = True
    dialects: Sequence[Dialect]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        handler = super().get_route_handler()
        fields = TRIED.union(*(d.Body.model_fields for d in self.dialects))

        async def handle(request: Request) -> Response:
            http = DialectRequest(request.scope, request.receive)
            http.dialects = self.dialects
            service: Service = request.app.state.service
            http.excerpt = excerpt(fields, service.settings.max_documents)
            http.patience = Patience(request)
            deadline = http.patience.limit(service.settings.timeout_seconds)
            place = service.admission.admit(lets_pass=http.patience.courtesy > 0)
            try:
                with place as http.place, deadline:
                    return await handler(http)
            except Exception as error:
                problem = Problem.of(error)
                told = told_to([http.dialect] if http.dialect else self.dialects, problem)
                return JSONResponse(told, problem.status, problem.headers)

        return handle


def router(dialects: Sequence[Dialect]) -> APIRouter:
    """A route for each path of `dialects`."""
    routes = APIRouter(tags=["rerank"])
    for path in dict.fromkeys(path for dialect in dialects for path in dialect.PATHS):
        _add(routes, path, [dialect for dialect in dialects if path in dialect.PATHS])
    return routes


def _add(routes: APIRouter, path: str, spoken: Sequence[Dialect]) -> None:
    """Add the route of a path to `routes`."""

    class Route(DialectRoute):
        dialects = spoken

    async def rerank(http: Request, body: Body, service: ServiceDependency) -> Response:
        assert isinstance(http, DialectRequest)
        assert http.dialect
        card = service.model.card
        scale = body.scale() or service.settings.scores or body.promised
        if reason := contradicts(scale, card, service.calibration):
            raise Refused("scores", reason)
        task = body.task()
        if task.instruction and not card.instructed:
            raise Refused("instruction", f"{card.name} reads none")
        http.patience.hear(body.timeout_ms, bool(body.partial))
        ranking = await service.rank(http, task, http.patience)
        ranked = Ranked(body, ranking, card, http.state.request_id, scale, service.calibration)
        content = await asyncio.to_thread(_content, http.dialect, ranked)
        return Response(content, media_type="application/json")

    own = [dialect for dialect in spoken if dialect.PATHS[0] == path]
    described = own if len(own) == 1 else spoken
    # What the description is made of; the request has been validated.
    read = _any_of(d.Body for d in described)
    rerank.__annotations__["body"] = Annotated[read, WrapValidator(_unless_read)]
    names = " or ".join(d.NAME for d in described)
    others = ", ".join(d.NAME for d in spoken if d not in described)
    routes.add_api_route(
        path,
        rerank,
        methods=["POST"],
        # A path with a name in it is another form of one that is described.
        include_in_schema="{" not in path,
        response_model=_any_of(d.Answer for d in described),
        responses=_responses(described),
        openapi_extra={"parameters": PARAMETERS},
        summary=f"Rank documents: {names}",
        description=f"Rank documents by relevance to a query, in the dialect of {names}."
        + (f" Also spoken here, and described at other paths: {others}." if others else ""),
        route_class_override=Route,
    )


def _unless_read(body: Any, validate: Callable[[Any], Any]) -> Any:
    """What has been validated already, of whatever dialect, or what is no JSON at all."""
    return body if isinstance(body, Body) else validate(body)


def _responses(dialects: Sequence[Dialect]) -> dict[int | str, dict[str, Any]]:
    errors = _any_of(dialect.Error for dialect in dialects)
    responses: dict[int | str, dict[str, Any]] = {
        # No path of a ranking names a model that may be absent.
        status: {"model": errors, "description": meaning}
        for status, meaning in MEANINGS.items()
        if status != 404
    }
    responses[200] = {"description": "the ranking"}
    for status, response in responses.items():
        examples = {d.NAME: {"value": example(d, int(status))} for d in dialects if is_shown(d)}
        response["content"] = {"application/json": {"examples": examples}}
    return responses


def _any_of(types: Iterable[Any]) -> Any:
    return reduce(or_, types)


def _content(dialect: Dialect, ranked: Ranked[Any]) -> bytes:
    # Thousands of documents: too many for the event loop.
    return orjson.dumps(dialect.answer(ranked), option=orjson.OPT_SERIALIZE_NUMPY)
