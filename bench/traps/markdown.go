package traps

import (
	"fmt"
	"slices"
	"strings"
)

// Markdown renders the matrix: a table for each kind of policy, with the reasons
// of what fails and of what is not applicable below it, and the versions.
func (m *Matrix) Markdown() string {
	var b strings.Builder
	b.WriteString("✓ kept, ✗ not kept, 💥 not kept: the process dies, ⏳ not kept: it never returns, – not applicable.\n")
	for _, p := range Policies {
		m.table(&b, p)
	}
	b.WriteString("\n### Versions\n\n| library | module | version |\n|---|---|---|\n")
	for _, l := range Libraries {
		version := m.Versions[l.Module]
		if version == "" {
			version = "unknown"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", l.Name, l.Module, version)
	}
	return b.String()
}

// marks is how verdicts are shown.
var marks = map[Verdict]string{Pass: "✓", Fail: "✗", Crash: "💥", Hang: "⏳", NotApplicable: "–"}

// table renders the scenarios of one kind of policy.
func (m *Matrix) table(b *strings.Builder, p Policy) {
	scenarios := slices.DeleteFunc(slices.Clone(Scenarios), func(s Scenario) bool { return s.Policy != p })
	var names []string
	for _, l := range Libraries {
		if l.has(p) {
			names = append(names, l.Name)
		}
	}
	if slices.ContainsFunc(scenarios, func(s Scenario) bool { return s.Broken != nil }) {
		names = append(names, Broken)
	}
	title := strings.ToUpper(string(p[:1])) + string(p[1:])
	fmt.Fprintf(b, "\n### %s\n\n| trap | | %s |\n|---|---|%s\n", title, strings.Join(names, " | "), strings.Repeat(":-:|", len(names)))
	for _, s := range scenarios {
		fmt.Fprintf(b, "| %s | %s |", s.ID, s.Name)
		for _, name := range names {
			fmt.Fprintf(b, " %s |", marks[m.Results[s.ID][name].Verdict])
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for _, s := range scenarios {
		fmt.Fprintf(b, "- **%s %s.** %s\n", s.ID, s.Name, s.Promise)
		for _, reason := range m.reasons(s, names) {
			fmt.Fprintf(b, "  - %s\n", reason)
		}
	}
}

// reasons are those of the cells of one scenario that are not kept or not
// applicable. Libraries that share one share its line.
func (m *Matrix) reasons(s Scenario, names []string) []string {
	var lines []string
	who := map[string][]string{}
	for _, name := range names {
		r, ok := m.Results[s.ID][name]
		if !ok || r.Verdict == Pass {
			continue
		}
		line := marks[r.Verdict] + " " + r.Reason + m.remedy(s.ID, name)
		if note := library(name).Notes[s.ID]; note != "" && r.Verdict.Failed() {
			line += fmt.Sprintf(" (documented: “%s”)", note)
		}
		if who[line] == nil {
			lines = append(lines, line)
		}
		who[line] = append(who[line], name)
	}
	for i, line := range lines {
		mark, reason, _ := strings.Cut(line, " ")
		lines[i] = fmt.Sprintf("%s %s: %s", mark, strings.Join(who[line], ", "), reason)
	}
	return lines
}

// remedy tells of the option that avoids a failure, if there is one, and whether it
// does.
func (m *Matrix) remedy(scenario, name string) string {
	option := library(name).Remedies[scenario]
	r, tried := m.Remedies[scenario][name]
	switch {
	case !tried:
		return ""
	case r.Verdict == Pass:
		return fmt.Sprintf(" (avoided by %s, off by default)", option)
	}
	return fmt.Sprintf(" (%s, off by default, does not avoid it: %s)", option, r.Reason)
}
