package gitlab

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Token is what GitLab says of the access token that it is asked with
// (https://docs.gitlab.com/api/personal_access_tokens/#self-inform; tokens of
// projects and groups are answered alike).
type Token struct {
	Name    string
	Scopes  []string
	Expires time.Time // the day on which it ends; zero: never
	User    string    // whose it is
	Admin   bool      // that user administers GitLab
}

// Token asks about the token itself.
func (c *Client) Token(ctx context.Context) (Token, error) {
	var self struct {
		Name    string   `json:"name"`
		Scopes  []string `json:"scopes"`
		Expires string   `json:"expires_at"`
	}
	if _, err := c.do(ctx, call{to: "ask about the access token", path: "personal_access_tokens/self"}, &self); err != nil {
		return Token{}, err
	}
	t := Token{Name: self.Name, Scopes: self.Scopes}
	t.Expires, _ = time.Parse(time.DateOnly, self.Expires) // null: it does not end
	var user struct {
		Username string `json:"username"`
		Admin    bool   `json:"is_admin"` // to administrators alone
	}
	if _, err := c.do(ctx, call{to: "ask whose the access token is", path: "user"}, &user); err != nil {
		return Token{}, err
	}
	t.User, t.Admin = user.Username, user.Admin
	return t, nil
}

// readOnly are the scopes that change nothing
// (https://docs.gitlab.com/user/profile/personal_access_tokens/#personal-access-token-scopes).
func readOnly(scope string) bool { return strings.HasPrefix(scope, "read_") }

// Excess says what the token may do that reading the API does not need; "" if
// nothing.
func (t Token) Excess() string {
	var words []string
	for _, s := range t.Scopes {
		if !readOnly(s) {
			words = append(words, s)
		}
	}
	slices.Sort(words)
	switch {
	case len(words) > 0:
		return "it has the scope " + strings.Join(words, ", ")
	case t.Admin:
		return "it is an administrator's"
	}
	return ""
}

// Left is how many whole days are left of the token, and whether it ends at all.
func (t Token) Left(now time.Time) (days int, ends bool) {
	if t.Expires.IsZero() {
		return 0, false
	}
	return int(t.Expires.Sub(now.UTC()).Hours() / 24), true
}
