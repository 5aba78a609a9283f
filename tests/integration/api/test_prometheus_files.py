"""Alert rules and dashboard, checked by the real promtool against the metrics of a real server and a real worker."""

import json
import re
import shutil
import socket
import subprocess

import httpx2
import pytest
import yaml

from callsheet.testing.waiters import until

from .worker_command import ROOT, worker_command

RULES = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD = ROOT / "deploy/grafana/callsheet.json"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool: apt-get install prometheus")

_METRIC = re.compile(r"\b(?:callsheet|process|python)_[a-z_]+")
_SUFFIX = re.compile(r"_(bucket|sum|count)$")


def promtool(*arguments, **more):
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=60, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rule_expressions():
    return {
        rule["alert"]: rule["expr"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    }


def dashboard_expressions():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


@needs_promtool
def test_the_alert_rules_are_valid_and_fire_when_they_should():
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert "SUCCESS" in promtool("test", "rules", str(RULES.with_name("alerts.test.yml")))


@needs_promtool
def test_every_query_of_the_dashboard_is_valid(tmp_path):
    variables = {"$__rate_interval": "5m", "$job": ".*"}
    rules = []
    for place, expression in enumerate(dashboard_expressions()):
        for name, value in variables.items():
            expression = expression.replace(name, value)
        assert "$" not in expression
        rules.append({"record": f"panel:{place}", "expr": expression})
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    assert f"{len(rules)} rules found" in promtool("check", "rules", str(tmp_path / "panels.yml"))


def test_panels_have_titles_and_do_not_overlap():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    cells = set()
    for panel in panels:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & own, panel["title"]
        cells |= own
        assert panel["title"]
    assert len({panel["id"] for panel in panels}) == len(panels)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


async def scraped(url):
    async with httpx2.AsyncClient(trust_env=False, timeout=20) as client:
        response = await client.get(url)
    assert response.status_code == 200, response.text
    return response.text


async def responds(url):
    async with httpx2.AsyncClient(trust_env=False, timeout=5) as client:
        try:
            return (await client.get(url)).is_success
        except httpx2.HTTPError:
            return False


def names_in(text):
    """Return the names of metrics in an output, also of those without a value yet."""
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}


async def test_a_server_and_a_worker_show_every_metric_that_rules_and_dashboard_name(api, tmp_path):
    port, log = free_port(), tmp_path / "worker.log"
    monitor = f"http://127.0.0.1:{port}"
    with worker_command(api.runtime.settings, log, WORKER_MONITOR_PORT=str(port)):
        await until(lambda: responds(f"{monitor}/health"), timeout=60, what="the monitoring server")
        await api.ended(await api.submit(("a", "noop", {}), ("b", "fail", {}), ("c", "sleep", {"seconds": 0.2})))
        base = f"http://127.0.0.1:{api.runtime.settings.port}"

        async def is_counted():
            return 'callsheet_jobs_total{operation="sleep"' in await scraped(f"{base}/metrics")

        await until(is_counted, timeout=30)
        outputs = {"server": await scraped(f"{base}/metrics"), "worker": await scraped(f"{monitor}/metrics")}

    for name, text in outputs.items():
        if PROMTOOL:
            found = promtool("check", "metrics", input=text)
            assert not [line for line in found.splitlines() if " callsheet_" in f" {line}"], f"{name}: {found}"
    shown = {name: names_in(text) for name, text in outputs.items()}
    assert shown["server"] == shown["worker"]
    named = {
        metric
        for expression in (*rule_expressions().values(), *dashboard_expressions())
        for metric in _METRIC.findall(expression)
    }
    assert len(named) > 30
    missing = {metric for metric in named if {metric, _SUFFIX.sub("", metric)}.isdisjoint(shown["server"])}
    assert not missing
    assert 'callsheet_worker_running_jobs{worker="' in outputs["worker"]


async def test_a_worker_works_while_another_process_has_its_monitoring_port(api, tmp_path):
    log = tmp_path / "worker.log"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with worker_command(api.runtime.settings, log, WORKER_MONITOR_PORT=str(port)):
            ended = await api.ended(await api.submit(("a", "noop", {})))
            assert ended["status"] == "succeeded"
            assert "no monitoring server" in log.read_text()
            taken.close()
            await until(lambda: responds(f"http://127.0.0.1:{port}/health"), timeout=30, what="the port, once free")
