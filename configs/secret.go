package configs

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a string that never prints: every way that Go can format, marshal
// or log it gives "[redacted]". The only way to its value is [Secret.Reveal].
type Secret struct{ value string }

// NewSecret wraps a value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal is the value itself, for the one place that must send or compare it.
func (s Secret) Reveal() string { return s.value }

// IsZero tells whether there is no value.
func (s Secret) IsZero() bool { return s.value == "" }

func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = f.Write([]byte(redacted)) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
func (s Secret) MarshalYAML() (any, error)    { return redacted, nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
