package routes

type projectVars struct {
	ID            int    `expr:"id"`
	Name          string `expr:"name"`
	Path          string `expr:"path"`
	URL           string `expr:"url"`
	DefaultBranch string `expr:"default_branch"`
	Visibility    string `expr:"visibility"`
	Group         string `expr:"group"`
	GroupURL      string `expr:"group_url"`
}

type userVars struct {
	ID       int    `expr:"id"`
	Name     string `expr:"name"`
	Username string `expr:"username"`
	Email    string `expr:"email"`
	Bot      bool   `expr:"bot"`
}

type changeVars struct {
	Field   string   `expr:"field"`
	From    string   `expr:"from"`
	To      string   `expr:"to"`
	Added   []string `expr:"added"`
	Removed []string `expr:"removed"`
}

type commitVars struct {
	SHA         string   `expr:"sha"`
	Title       string   `expr:"title"`
	Message     string   `expr:"message"`
	URL         string   `expr:"url"`
	AuthorName  string   `expr:"author_name"`
	AuthorEmail string   `expr:"author_email"`
	Time        string   `expr:"time"`
	Added       []string `expr:"added"`
	Modified    []string `expr:"modified"`
	Removed     []string `expr:"removed"`
}

type pushVars struct {
	Before     string       `expr:"before"`
	After      string       `expr:"after"`
	Total      int          `expr:"total"`
	Created    bool         `expr:"created"`
	Deleted    bool         `expr:"deleted"`
	Forced     bool         `expr:"forced"`
	Protected  bool         `expr:"protected"`
	TagMessage string       `expr:"tag_message"`
	CompareURL string       `expr:"compare_url"`
	MergedRef  string       `expr:"merged_ref"`
	Commits    []commitVars `expr:"commits"`
	Paths      []string     `expr:"paths"`
}

type mergeRequestVars struct {
	IID          int         `expr:"iid"`
	Title        string      `expr:"title"`
	URL          string      `expr:"url"`
	State        string      `expr:"state"`
	SourceBranch string      `expr:"source_branch"`
	TargetBranch string      `expr:"target_branch"`
	SourcePath   string      `expr:"source_path"`
	Fork         bool        `expr:"fork"`
	Description  string      `expr:"description"`
	Draft        bool        `expr:"draft"`
	Assignees    []userVars  `expr:"assignees"`
	Reviewers    []userVars  `expr:"reviewers"`
	ReviewedBy   []userVars  `expr:"reviewed_by"`
	Labels       []string    `expr:"labels"`
	Milestone    string      `expr:"milestone"`
	MergeStatus  string      `expr:"merge_status"`
	OldRev       string      `expr:"old_rev"`
	LastCommit   *commitVars `expr:"last_commit"`
	System       bool        `expr:"system"`
	SystemAction string      `expr:"system_action"`
}

type issueVars struct {
	IID          int        `expr:"iid"`
	Type         string     `expr:"type"`
	Title        string     `expr:"title"`
	URL          string     `expr:"url"`
	State        string     `expr:"state"`
	Description  string     `expr:"description"`
	Assignees    []userVars `expr:"assignees"`
	Labels       []string   `expr:"labels"`
	Milestone    string     `expr:"milestone"`
	DueDate      string     `expr:"due_date"`
	Severity     string     `expr:"severity"`
	Confidential bool       `expr:"confidential"`
}

type noteVars struct {
	ID          int    `expr:"id"`
	On          string `expr:"on"`
	OnType      string `expr:"on_type"`
	OnTitle     string `expr:"on_title"`
	OnURL       string `expr:"on_url"`
	OnReference string `expr:"on_reference"`
	Body        string `expr:"body"`
	URL         string `expr:"url"`
	Edited      bool   `expr:"edited"`
	Internal    bool   `expr:"internal"`
	System      bool   `expr:"system"`
	File        string `expr:"file"`
	Line        int    `expr:"line"`
	Discussion  string `expr:"discussion"`
}

type pipelineVars struct {
	ID             int               `expr:"id"`
	IID            int               `expr:"iid"`
	Name           string            `expr:"name"`
	Status         string            `expr:"status"`
	DetailedStatus string            `expr:"detailed_status"`
	Source         string            `expr:"source"`
	SHA            string            `expr:"sha"`
	Duration       float64           `expr:"duration"`        // seconds
	QueuedDuration float64           `expr:"queued_duration"` // seconds
	Stages         []string          `expr:"stages"`
	Jobs           []jobVars         `expr:"jobs"`
	Child          bool              `expr:"child"`
	MergeRequest   *mergeRequestVars `expr:"merge_request"`
	ParentID       int               `expr:"parent_id"`
	ParentProject  string            `expr:"parent_project"`
	ParentURL      string            `expr:"parent_url"`
	Error          string            `expr:"error"`
	CouldNotStart  bool              `expr:"could_not_start"`
}

type jobVars struct {
	ID            int     `expr:"id"`
	Name          string  `expr:"name"`
	Stage         string  `expr:"stage"`
	Status        string  `expr:"status"`
	FailureReason string  `expr:"failure_reason"`
	AllowFailure  bool    `expr:"allow_failure"`
	Retried       bool    `expr:"retried"`
	Manual        bool    `expr:"manual"`
	Duration      float64 `expr:"duration"` // seconds
	PipelineID    int     `expr:"pipeline_id"`
	PipelineName  string  `expr:"pipeline_name"`
	URL           string  `expr:"url"`
	Environment   string  `expr:"environment"`
	Runner        string  `expr:"runner"`
}

type deploymentVars struct {
	ID             int    `expr:"id"`
	Status         string `expr:"status"`
	Environment    string `expr:"environment"`
	EnvironmentURL string `expr:"environment_url"`
	Tier           string `expr:"tier"`
	SHA            string `expr:"sha"`
	JobID          int    `expr:"job_id"`
	JobURL         string `expr:"job_url"`
	Approver       string `expr:"approver"`
	Comment        string `expr:"comment"`
}

type releaseVars struct {
	Name        string `expr:"name"`
	Tag         string `expr:"tag"`
	Description string `expr:"description"`
	Assets      int    `expr:"assets"`
	URL         string `expr:"url"`
}

type wikiPageVars struct {
	Title   string `expr:"title"`
	Slug    string `expr:"slug"`
	Message string `expr:"message"`
	DiffURL string `expr:"diff_url"`
}

type milestoneVars struct {
	IID     int    `expr:"iid"`
	Title   string `expr:"title"`
	State   string `expr:"state"`
	DueDate string `expr:"due_date"`
}

type emojiVars struct {
	Name        string `expr:"name"`
	OnType      string `expr:"on_type"`
	OnReference string `expr:"on_reference"`
}

type memberVars struct {
	Access    string `expr:"access"`
	ExpiresOn string `expr:"expires_on"`
}

type tokenVars struct {
	Name      string `expr:"name"`
	ExpiresOn string `expr:"expires_on"`
}

type vulnerabilityVars struct {
	State      string `expr:"state"`
	Severity   string `expr:"severity"`
	Identifier string `expr:"identifier"`
	Package    string `expr:"package"`
	File       string `expr:"file"`
	Report     string `expr:"report"`
}
