// Package formatters owns how a message reads: the templates, the dialects of
// Markdown, and the JSON that Mattermost and Slack take. Every string that
// comes from GitLab is [Text], which escapes itself.
//
// It does not decide who gets a message and does not send it.
package formatters
