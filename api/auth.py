"""Whose request it is: an API key as bearer token (RFC 6750), or anyone while LIMPID_AUTH is off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.deps import BackendDep, SettingsDep
from core.access.keys import ANYONE, Caller, Scope, authenticate
from core.errors import Forbidden, Unauthenticated

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="ApiKey",
    description="A key that `limpid keys create` made. Not needed on a server with `LIMPID_AUTH=off`.",
)


def _caller(
    settings: SettingsDep,
    backend: BackendDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    if settings.auth == "off":
        return ANYONE
    if credentials is None:
        raise Unauthenticated("Send your API key in the header `Authorization: Bearer KEY`.")
    return authenticate(credentials.credentials, keys=backend.keys)


def _scraper(
    settings: SettingsDep,
    backend: BackendDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    if settings.metrics_public:
        return ANYONE
    return _with(Scope.METRICS)(_caller(settings, backend, credentials))


def _with(scope: Scope) -> Callable[[Caller], Caller]:
    def check(caller: Annotated[Caller, Depends(_caller)]) -> Caller:
        if not caller.may(scope):
            raise Forbidden(f"The API key does not have the scope {scope.value!r}.")
        return caller

    return check


SubmitterDep = Annotated[Caller, Depends(_with(Scope.SUBMIT))]
ReaderDep = Annotated[Caller, Depends(_with(Scope.READ))]
AdminDep = Annotated[Caller, Depends(_with(Scope.ADMIN))]
ScraperDep = Annotated[Caller, Depends(_scraper)]
