"""``junit.xml``: the report for CI."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from orcastra_conformance.engine.outcome import CaseReport, Outcome
from orcastra_conformance.reports.report import Report

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold in any form."""


def to_junit(report: Report) -> str:
    """Return a test suite with a test for each case.

    Failed cases are failures, harness errors errors, and all that did not pass otherwise is skipped
    with its outcome and the reason: JUnit knows no other word. That the harness is unfit, or could not
    be stopped, is an error of a test of its own.
    """
    timed = report.seconds is not None
    suite = ET.Element("testsuite", name=_clean(f"orcastra-conformance.{report.harness}"))
    properties = ET.SubElement(suite, "properties")
    for name, value in _facts(report).items():
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    for case in report.sorted_cases():
        _case(suite, case, report.harness, timed=timed)
    for name, text in (("preflight", "\n".join(report.unfit)), ("stop", report.left_behind)):
        if text:
            test = _test(suite, report.harness, "harness", name)
            _said(test, "error", Outcome.HARNESS_ERROR, text.partition("\n")[0], text)
    for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(kind, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    if report.seconds is not None:
        suite.set("time", f"{report.seconds:.3f}")
    suites = ET.Element("testsuites", {name: suite.attrib[name] for name in ("tests", "failures", "errors", "skipped")})
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=False) + "\n"


def _facts(report: Report) -> dict[str, str]:
    versions = report.versions
    facts = {
        "mode": report.mode,
        "server": report.facts.product if report.facts is not None else "",
        "backend": f"{versions.backend} {versions.backend_version}",
        "contract": versions.contract,
        "suite": versions.suite,
        "python": versions.python,
        "verdict": report.verdict.value,
        "reproduce": report.reproduce,
    }
    return {name: value.strip() for name, value in facts.items() if value.strip()}


def _case(suite: ET.Element, report: CaseReport, harness: str, *, timed: bool) -> None:
    test = _test(suite, harness, report.case.group, report.case.id)
    if timed:
        test.set("time", f"{report.seconds:.3f}")
    if report.outcome is Outcome.FAILED:
        _said(test, "failure", report.outcome, report.headline, str(report))
    elif report.outcome is Outcome.HARNESS_ERROR:
        _said(test, "error", report.outcome, report.headline, str(report))
    elif report.outcome is not Outcome.PASSED:
        told = [text for text in (report.shown.value if report.shown is not None else "", report.headline) if text]
        _said(test, "skipped", report.outcome, f"{report.outcome.value}: {', '.join(told)}", "")


def _test(suite: ET.Element, harness: str, group: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=_clean(f"{harness}.{group}"), name=_clean(name))


def _said(test: ET.Element, tag: str, outcome: Outcome, message: str, text: str) -> None:
    element = ET.SubElement(test, tag, type=outcome.value, message=_clean(message))
    if text:
        element.text = _clean(text)


def _clean(text: str) -> str:
    return _NOT_XML.sub("�", text)
