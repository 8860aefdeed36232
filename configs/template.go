package configs

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
)

// Sets of templates.
const (
	SetStandard = "standard"
	SetClassic  = "classic"
)

// templates reads `templates`: sets and folders.
func (r *reader) templates(top object) {
	values, _ := r.list(top, "templates")
	for _, v := range values {
		if t, ok := r.template(v); ok {
			r.cfg.Templates = append(r.cfg.Templates, t)
			r.cfg.TemplatesPos = append(r.cfg.TemplatesPos, r.pos(v.node))
		}
	}
}

func (r *reader) template(v value) (string, bool) {
	switch v.text {
	case SetStandard, SetClassic:
		return v.text, true
	case "":
		r.errorf(v.node, "write standard, classic or a folder", "an entry of templates is empty")
		return "", false
	}
	path := r.path(v.text)
	info, err := os.Stat(r.at(path))
	plain := !strings.ContainsRune(v.text, filepath.Separator)
	switch {
	case err != nil && plain:
		hint := "the sets are standard and classic; a folder is written ./name"
		if s := Suggest(strings.ToLower(v.text), []string{SetStandard, SetClassic}); s != "" {
			hint = "did you mean \"" + s + "\"?"
		}
		r.errorf(v.node, hint, "%q is neither a set of templates nor a folder", v.shown())
		return "", false
	case err != nil:
		r.errorf(v.node, "", "the folder %q of templates: %s", v.shown(), strings.Replace(reason(err), "file", "folder", 1))
		return "", false
	case !info.IsDir():
		r.errorf(v.node, "name its folder", "%q is a file, and templates takes folders", v.shown())
		return "", false
	}
	r.read(path)
	path = r.at(path)
	if !strings.ContainsRune(path, filepath.Separator) {
		path = "." + string(filepath.Separator) + path // so that it is no set
	}
	return path, true
}

const maxCABytes = 1 << 20

// caFile reads `ca_file`, which must hold a certificate.
func (r *reader) caFile(o object, d Destination) string {
	v, ok := r.scalar(o, "ca_file")
	if !ok {
		return ""
	}
	key := o.fields["ca_file"].key
	if d.Kind == KindLog || strings.HasPrefix(strings.ToLower(d.URL.Reveal()), "http:") {
		r.errorf(key, "remove it", "ca_file of %s has no effect: it connects without TLS", o.where)
		return ""
	}
	if v.text == "" {
		r.errorf(v.node, "", "ca_file of %s is empty", o.where)
		return ""
	}
	path := r.path(v.text)
	content, _, err := readRegular(r.at(path), maxCABytes)
	r.read(path)
	switch {
	case err != nil && r.loose:
		r.lacksFile(v.node, "ca_file", o.where, err)
		return ""
	case err != nil:
		r.errorf(v.node, "", "ca_file of %s: %s", o.where, reason(err))
		return ""
	case !x509.NewCertPool().AppendCertsFromPEM([]byte(content)):
		r.errorf(v.node, "it takes PEM: -----BEGIN CERTIFICATE-----", "ca_file of %s: the file holds no certificate", o.where)
		return ""
	}
	return r.at(path)
}
