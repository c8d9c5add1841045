package lab

// pageTemplate is the page of [Report.HTML].
const pageTemplate = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{.Name}}: {{.Verdict}}</title>
<style>
:root{--ground:#f4f6f8;--card:#fff;--ink:#1b2530;--soft:#566370;--rule:#d9dfe5;--system:#0b5cad;--control:#a84608;
--met:#00694f;--deviated:#b3261e;--aborted:#8a2f86;--inconclusive:#7a5c00;--on:#fff}
@media (prefers-color-scheme:dark){:root{--ground:#0d1217;--card:#151b22;--ink:#e6ebf0;--soft:#a3b0bd;--rule:#2c3641;--system:#5fb0ff;--control:#ff9d4d;
--met:#4fd1a5;--deviated:#ff8a80;--aborted:#e0a3dd;--inconclusive:#e8c860;--on:#101418}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:1000px;margin:0 auto;padding:24px 20px 40px}
h1{font-size:28px;line-height:1.2;margin:10px 0 6px}
h2{font-size:17px;margin:0 0 10px}
section,figure{background:var(--card);border:1px solid var(--rule);border-radius:8px;margin:16px 0;padding:16px 20px}
.badge{display:inline-block;margin:0;padding:3px 12px;border-radius:6px;font-weight:700;letter-spacing:.04em;color:var(--on);background:var(--soft)}
.badge.met{background:var(--met)}.badge.deviated,.badge.error{background:var(--deviated)}
.badge.aborted{background:var(--aborted)}.badge.inconclusive{background:var(--inconclusive)}
.hypothesis{font-size:17px;margin:0}
.reasons{margin:10px 0 0;padding-left:20px}
.soft{color:var(--soft)}
.figures{display:grid;grid-template-columns:repeat(4,1fr);gap:12px;margin:16px 0}
.figures div{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:12px 16px}
.figures p{margin:0}
.figures .big{font-size:26px;line-height:1.3;font-weight:700;color:var(--system);white-space:nowrap}
.figures .small{color:var(--control)}
.scroll{overflow-x:auto}
figure .lab-timeline{display:block;width:100%;min-width:720px;height:auto}
figure{padding:12px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;overflow-wrap:normal}
th,td{padding:5px 10px;text-align:left;vertical-align:top;white-space:nowrap}
th{color:var(--soft);font-weight:600;border-bottom:1px solid var(--rule)}
tr.begin td{border-top:1px solid var(--rule)}
th.n,td.n{text-align:right}
td.wide{width:100%;white-space:normal;overflow-wrap:anywhere;min-width:16em}
th:first-child,td:first-child{padding-left:0}
.system{color:var(--system);font-weight:600}.control{color:var(--control)}
.v-met{color:var(--met)}.v-deviated,.v-error{color:var(--deviated);font-weight:600}.v-inconclusive{color:var(--inconclusive);font-weight:600}
.v-nearly{color:var(--inconclusive);font-weight:600}
code{display:block;background:var(--ground);border:1px solid var(--rule);border-radius:6px;padding:8px 12px;font:13px/1.5 ui-monospace,monospace}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 16px;margin:0 0 12px}
dt{color:var(--soft)}dd{margin:0}
footer{color:var(--soft);font-size:13px}
@media (max-width:640px){main{padding:16px 12px}section{padding:14px}.figures{grid-template-columns:1fr 1fr}h1{font-size:23px}.figures .big{font-size:21px}}
@media print{body{background:none;font-size:11px}main{max-width:none;padding:0}section,figure{break-inside:avoid;padding:8px 0;border:0}
.badge{print-color-adjust:exact;-webkit-print-color-adjust:exact}.scroll{overflow:visible}figure .lab-timeline{min-width:0}th,td{padding:3px 6px}td{white-space:normal}}
</style>
</head>
<body>
<main>
<header>
<p class="badge {{.Verdict}}">{{.Sign}} {{upper .Verdict}}</p>
<h1>{{.Name}}</h1>
{{with .Hypothesis}}<p class="hypothesis">{{.}}</p>{{end}}
{{with .Reasons}}<ul class="reasons">{{range .}}<li>{{.}}</li>{{end}}</ul>{{end}}
</header>
{{with .Figures}}<div class="figures">{{range .}}
<div><p class="soft">{{.Name}}</p><p class="big">{{.System}}</p>{{with .Control}}<p class="small">control: {{.}}</p>{{end}}</div>{{end}}
</div>{{end}}
<figure class="scroll">{{.Picture}}</figure>
{{with .Marks}}<section><h2>What was done</h2><div class="scroll"><table>
<tr><th class="n">no.</th><th class="n">at</th><th>what</th><th></th></tr>
{{range $i, $m := .}}<tr><td class="n">{{next $i}}</td><td class="n">{{.When}}</td><td>{{.What}}</td><td class="wide">{{.Text}}</td></tr>
{{end}}</table></div></section>{{end}}
{{with .Checks}}<section><h2>Checks</h2><div class="scroll"><table>
<tr><th>phase</th><th>check</th><th class="n">bound</th><th class="n">system</th><th></th>{{if $.Control}}<th class="n">control</th><th></th>{{end}}</tr>
{{range .}}<tr{{if .Begins}} class="begin"{{end}}><td>{{if .Begins}}{{.Phase}}{{end}}</td><td>{{.Name}}</td><td class="n">{{.Bound}}</td>
{{with .System}}<td class="n">{{.Value}}</td><td class="{{.Class}}" title="{{.Why}}">{{.Mark}}</td>{{end}}
{{if $.Control}}{{with .Control}}<td class="n control">{{.Value}}</td><td title="{{.Why}}">{{.Mark}}</td>{{end}}{{end}}</tr>
{{end}}</table></div></section>{{end}}
{{with .Rows}}<section><h2>Answers</h2><div class="scroll"><table>
<tr><th>phase</th><th></th><th class="n">offered</th><th class="n">ok</th><th class="n">availability</th><th class="n">95 % interval</th><th class="n">p50</th><th class="n">p99</th><th class="n">p99.9</th><th class="n">max</th></tr>
{{range .}}<tr{{if .Begins}} class="begin"{{end}}><td>{{if .Begins}}{{.Phase}}{{end}}</td><td class="{{.Arm}}">{{.Arm}}</td><td class="n">{{.Offered}}</td><td class="n">{{.OK}}</td><td class="n">{{.Availability}}</td><td class="n">{{.Interval}}</td><td class="n">{{.P50}}</td><td class="n">{{.P99}}</td><td class="n">{{.P999}}</td><td class="n">{{.Max}}</td></tr>
{{end}}</table></div></section>
<section><h2>Attempts and injected faults</h2><div class="scroll"><table>
<tr><th>phase</th><th></th><th class="n">attempts</th><th class="n">a request</th><th class="n">rejected</th><th class="n">overflow</th><th>injected</th></tr>
{{range .}}<tr{{if .Begins}} class="begin"{{end}}><td>{{if .Begins}}{{.Phase}}{{end}}</td><td class="{{.Arm}}">{{.Arm}}</td><td class="n">{{.Attempts}}</td><td class="n">{{.Amplification}}</td><td class="n">{{.Rejected}}</td><td class="n">{{.Overflow}}</td><td class="wide">{{range $i, $s := .Injected}}{{if $i}}<br>{{end}}{{$s}}{{end}}</td></tr>
{{end}}</table></div></section>
{{if $.Failed}}<section><h2>What requests failed with</h2><div class="scroll"><table>
<tr><th>phase</th><th></th><th></th></tr>
{{range .}}{{if .Errors}}<tr class="begin"><td>{{.Phase}}</td><td class="{{.Arm}}">{{.Arm}}</td><td class="wide">{{range $i, $s := .Errors}}{{if $i}}<br>{{end}}{{$s}}{{end}}</td></tr>
{{end}}{{end}}</table></div></section>{{end}}{{end}}
<section><h2>How it was run</h2>
<dl>{{range .Facts}}<dt>{{.Name}}</dt><dd>{{.Text}}</dd>{{end}}{{with .Seed}}<dt>worst</dt><dd>seed {{.}}</dd>{{end}}</dl>
{{with .Replay}}<p class="soft">To replay the worst seed:</p><code>{{.}}</code>{{end}}
</section>
<footer>steady chaos/lab. 95 % intervals are those of Clopper and Pearson; latencies count from when a request was due.</footer>
</main>
</body>
</html>
`
