package routes

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gitlab-mattermost/relay/configs"
)

// TestIndex: a project's candidates come in the order of the file, each once.
func TestIndex(t *testing.T) {
	x := newIndex()
	for number, patterns := range [][]string{
		{"acme/api/**"}, {"acme/**", "acme/api"}, {"**"}, {"Acme/API"}, {"acme/api", "**/api"}, {"other/**"}, {"acme/{api,web}"}, {"/^acme/"}, {"acme/ap"}, nil,
	} {
		var when []configs.Conditions
		for _, p := range patterns {
			when = append(when, configs.Conditions{Projects: &configs.List{Values: []configs.Pattern{pattern(p)}}})
		}
		x.add(number, when)
	}
	for project, want := range map[string][]int{
		"acme/api":      {0, 1, 2, 3, 4, 6, 7, 9},
		"acme/api/deep": {0, 1, 2, 3, 4, 6, 7, 9},
		"acme":          {1, 2, 4, 6, 7, 9},
		"acme/apis":     {1, 2, 4, 6, 7, 9},
		"other/x":       {2, 4, 5, 6, 7, 9},
		"":              {2, 4, 6, 7, 9},
	} {
		var got []int
		c := x.of(project, nil)
		for number, ok := c.next(); ok; number, ok = c.next() {
			got = append(got, number)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", project, diff)
		}
		if !slices.IsSorted(got) {
			t.Errorf("%q: %v is not in the order of the file", project, got)
		}
	}
}
