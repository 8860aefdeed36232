// Package configs owns relay.yaml: its shape, and the place (file, line,
// column) of everything that stands in it. Loading is strict: every mistake is
// found at once and told with its place and a suggestion.
//
// It does not know what the words mean: event names and patterns are compiled
// by package routes, templates by package formatters. It reads no webhook and
// opens no connection.
package configs
