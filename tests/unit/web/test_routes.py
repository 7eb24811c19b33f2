"""Routes: nobody builds URLs from them, so a start need not compile what would."""

from __future__ import annotations

from quart import url_for

from terrapod_core.web.app import Route, TerrapodQuart


async def test_a_url_is_built_from_a_route_by_whoever_asks_for_one() -> None:
    app = TerrapodQuart(__name__)

    @app.get("/workspaces/<int:number>/runs")
    async def runs(number: int) -> str:
        return str(number)

    async with app.test_request_context("/"):
        assert url_for("runs", number=3, page=4) == "/workspaces/3/runs?page=4"


def test_a_route_is_compiled_for_matching_alone() -> None:
    app = TerrapodQuart(__name__)
    app.add_url_rule("/workspaces/<int:number>", "show", str)
    (rule,) = app.url_map.iter_rules("show")
    assert isinstance(rule, Route)
    assert rule._build.__code__.co_name == "build", "werkzeug compiles its own again: most of making the application"
