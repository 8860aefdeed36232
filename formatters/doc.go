// Package formatters owns how a message reads: the templates, the dialects of
// Markdown, and the JSON that Mattermost and Slack take. Every string that
// comes from GitLab is [Text], which escapes itself.
//
// A set has one template for each kind of event, <kind>.md.tmpl, which defines
// a headline, and may define a body and a color; headline.merge is a headline
// for that action only. Templates write Mattermost Markdown; what Slack takes is
// made of it. The functions they may call stand in funcs.go, the fields in
// [Data]. Directories replace files of the built-in sets and add templates that
// routes name; see [Compile].
//
// What a template asks for is found when the set is compiled, so that
// text/template, which would find it anew for every message, runs only the
// templates, and finds the mistakes, that a program cannot; see program.go.
//
// It does not decide who gets a message and does not send it.
package formatters
