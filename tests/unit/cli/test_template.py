"""Formats as Docker's users write them."""

import pytest

from cli.template import Template, TemplateError

WEB = {
    "Id": "abc123",
    "Name": "/web",
    "State": {"Status": "running", "Running": True, "Pid": 42, "Health": {"Status": "healthy"}},
    "Config": {"Labels": {"com.example.tier": "front", "x": "1"}, "Env": ["A=1", "B=2"]},
    "HostConfig": {"Memory": 1073741824.0, "Ratio": 0.25},
    "Mounts": [{"Source": "/a"}, {"Source": "/b"}],
    "NetworkSettings": {"Networks": {"n1": {"IPAddress": "10.0.0.2"}, "n2": {"IPAddress": "10.1.0.2"}}},
    "Nothing": None,
    "Empty": [],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("{{.Id}}:{{.Name}}", "abc123:/web"),
        ("{{.State.Health.Status}}", "healthy"),
        ("{{.State.Running}} {{.State.Pid}} {{.HostConfig.Memory}} {{.HostConfig.Ratio}}", "true 42 1073741824 0.25"),
        ('{{index .Config.Labels "com.example.tier"}}', "front"),
        ('{{index .Config.Labels "absent"}}|', "|"),
        ("{{.Config.Labels.absent}}", "<no value>"),
        ("{{index .Config.Env 1}}", "B=2"),
        ("{{(index .Mounts 0).Source}}{{with index .Mounts 1}}{{.Source}}{{end}}", "/a/b"),
        ("{{json .Config.Env}}", '["A=1","B=2"]'),
        ("{{.Config.Env | json}}", '["A=1","B=2"]'),
        ("{{range .Config.Env}}{{.}};{{end}}", "A=1;B=2;"),
        ("{{range .Config.Env}}{{println .}}{{end}}", "A=1\nB=2\n"),
        ("{{range $i, $e := .Config.Env}}{{$i}}={{$e}} {{end}}", "0=A=1 1=B=2 "),
        (
            "{{range $name, $net := .NetworkSettings.Networks}}{{$name}} {{$net.IPAddress}},{{end}}",
            "n1 10.0.0.2,n2 10.1.0.2,",
        ),
        ("{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", "10.0.0.2 10.1.0.2 "),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"),
        ('{{range .Config.Env}}{{if eq . "B=2"}}{{break}}{{end}}{{.}}{{end}}', "A=1"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ('{{if .Absent}}a{{else if eq .Id "abc123"}}b{{else}}c{{end}}', "b"),
        ("{{with .Nothing}}x{{else}}{{$.Id}}{{end}}", "abc123"),
        ("{{.Nothing}}", "<no value>"),
        ('{{join .Config.Env ","}}', "A=1,B=2"),
        ('{{upper .Id}} {{lower "ABC"}} {{title "a word"}}', "ABC123 abc A Word"),
        ('{{.Id | upper | printf "%s-%d" "x"}}', None),
        ('{{printf "%-8s|%5.1f|%q" .Id 2.25 "z"}}', 'abc123  |  2.2|"z"'),
        ('{{index (split "a:b" ":") 1}}', "b"),
        ('{{truncate .Id 3}}{{pad "x" 1 2}}|', "abc x  |"),
        ('{{len .Mounts}} {{and 1 0}} {{or 0 "y"}} {{not true}}', "2 0 y false"),
        ("{{if and (gt 3 2) (le 2 2) (ne 1 2) (lt 1 2)}}ok{{end}}", "ok"),
        ('{{$x := .Id}}{{if true}}{{$x = "new"}}{{end}}{{$x}}', "new"),
        ("a {{- /* nothing */ -}} b", "ab"),
        ("a  {{- .Id -}}  b", "aabc123b"),
        ("{{.Config.Labels}} {{.Config.Env}}", "map[com.example.tier:front x:1] [A=1 B=2]"),
        ('{{`raw\\n`}}{{"tab\\t"}}', "raw\\ntab\t"),
    ],
)
def test_renders(text: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(TemplateError):
            Template(text).render(WEB)
    else:
        assert Template(text).render(WEB) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{{.Absent}}", 'no entry for key "Absent". Known are: Id, Name'),
        ("{{.Absent.Deeper}}", "no entry"),
        ("{{.Nothing.Field}}", "nil pointer"),
        ("{{.Id.Field}}", "can't evaluate field Field in a string"),
        ("{{.Id", "no closing"),
        ("{{if .Id}}x", "{{end}} is missing"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{nosuch .Id}}", 'function "nosuch" not defined'),
        ('{{template "x"}}', "not supported"),
        ("{{index .Config.Env 7}}", "index out of range"),
        ("{{$y}}", "undefined variable"),
        ("{{(.Id}}", "')' is missing"),
        ("{{.Id | .Name}}", "only functions"),
        ("{{}}{{|}}", "unexpected"),
        ('{{lt 1 "a"}}', "cannot compare"),
        ("{{len 3}}", "no length"),
        ('{{join 3 ","}}', "error calling join"),
    ],
)
def test_says_what_is_wrong(text: str, part: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(text).render(WEB)
    assert part in caught.value.message
