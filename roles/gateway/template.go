package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/filewatch"
)

//go:embed product.html
var bundledTemplate string

// maxTemplate bounds a template file, in bytes.
const maxTemplate = 4 << 20

// view is one parsed template. Immutable; pages remember theirs, so a new one
// makes them outdated without a walk over the cache.
type view struct {
	tmpl *template.Template
	// csp is the Content-Security-Policy of the bundled template. A user's own
	// decides by itself what it loads and gets none.
	csp []byte
	sum [sha256.Size]byte
}

// views holds the current view of each page type.
type views struct {
	cat     *catalog.Catalog
	log     *slog.Logger
	now     []atomic.Pointer[view]
	loaded  func(ok bool)
	reloads sync.Mutex    // one reload at a time; over files
	files   []string      // by page type; "" is the bundled one
	moved   chan struct{} // files has changed
	poll    time.Duration
}

// newViews parses the bundled template; files are read by load.
func newViews(cat *catalog.Catalog, file string, log *slog.Logger, loaded func(bool)) (*views, error) {
	pages := cat.Pages()
	v := &views{cat: cat, log: log, files: make([]string, len(pages)), now: make([]atomic.Pointer[view], len(pages)), loaded: loaded, moved: make(chan struct{}, 1)}
	for i := range pages {
		if v.files[i] = pages[i].Template; v.files[i] == "" {
			v.files[i] = file
		}
		if v.files[i] == "" {
			bundled, err := parseView(&pages[i], bundledTemplate, true)
			if err != nil {
				return nil, fmt.Errorf("the bundled template: %w", err)
			}
			v.now[i].Store(bundled)
		}
	}
	return v, nil
}

func (v *views) current(page uint8) *view { return v.now[page].Load() }

// load reads every file for the first time: a template that does not work is an
// error at the start, while later on the one before would stay in use.
func (v *views) load() error {
	for i := range v.now {
		if err := v.reload(i); err != nil {
			return err
		}
	}
	return nil
}

// reload reads the file of a page type, if it has one, and puts it to use if it parses and renders a sample.
func (v *views) reload(i int) error {
	v.reloads.Lock()
	defer v.reloads.Unlock()
	if v.files[i] == "" {
		return nil
	}
	text, err := readTemplate(v.files[i])
	if err != nil {
		return err
	}
	if old := v.now[i].Load(); old != nil && old.sum == sha256.Sum256(text) {
		return nil
	}
	fresh, err := parseView(&v.cat.Pages()[i], string(text), false)
	if err != nil {
		v.loaded(false)
		return fmt.Errorf("use the template %s: %w", v.files[i], err)
	}
	v.now[i].Store(fresh)
	v.loaded(true)
	v.log.Info("template loaded", "page", v.cat.Pages()[i].Name, "file", v.files[i])
	return nil
}

func readTemplate(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	if info.Size() > maxTemplate {
		return nil, fmt.Errorf("read the template %s: it has %d bytes, at most %d are possible", file, info.Size(), maxTemplate)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	return text, nil
}

// move prepares for another file, "" for the bundled template, of the pages whose type names none. The function puts
// it to use.
func (v *views) move(file string) (apply func(), err error) {
	text, bundled := []byte(bundledTemplate), file == ""
	if !bundled {
		if text, err = readTemplate(file); err != nil {
			return nil, err
		}
	}
	fresh := make([]*view, len(v.now))
	for i := range fresh {
		pt := &v.cat.Pages()[i]
		if pt.Template != "" {
			continue
		}
		if fresh[i], err = parseView(pt, string(text), bundled); err != nil {
			return nil, fmt.Errorf("use the template %s: %w", file, err)
		}
	}
	return func() {
		v.reloads.Lock()
		defer v.reloads.Unlock()
		for i, f := range fresh {
			if f == nil || v.files[i] == file {
				continue
			}
			v.files[i] = file
			v.now[i].Store(f)
			v.loaded(true)
		}
		select {
		case v.moved <- struct{}{}:
		default:
		}
	}, nil
}

// paths lists the files in use, each once.
func (v *views) paths() []string {
	v.reloads.Lock()
	defer v.reloads.Unlock()
	all := slices.DeleteFunc(slices.Clone(v.files), func(f string) bool { return f == "" })
	slices.Sort(all)
	return slices.Compact(all)
}

// parseView parses a template and renders samples with it: one with every field,
// one without any related document.
func parseView(pt *catalog.PageType, text string, bundled bool) (*view, error) {
	t, err := template.New(pt.Name).Parse(text)
	if err != nil {
		return nil, err
	}
	v := &view{tmpl: t, sum: sha256.Sum256([]byte(text))}
	var page []byte
	for _, docs := range samples(pt) {
		if page, err = v.render(pt, docs); err != nil {
			return nil, fmt.Errorf("render a sample: %w", err)
		}
	}
	if bundled {
		v.csp = policy(page)
	}
	return v, nil
}

// policy allows the page's own style, by its hash, pictures from anywhere, and
// nothing else: no script can run in it, wherever it came from.
func policy(page []byte) []byte {
	style := "'none'"
	if _, rest, ok := bytes.Cut(page, []byte("<style>")); ok {
		if css, _, ok := bytes.Cut(rest, []byte("</style>")); ok {
			sum := sha256.Sum256(css)
			style = "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
		}
	}
	return []byte("default-src 'none'; img-src 'self' http: https:; style-src " + style + "; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
}

// run puts changed files to use until ctx ends, whichever they are.
func (v *views) run(ctx context.Context) {
	for ctx.Err() == nil {
		v.watch(ctx, v.paths())
	}
}

// watch puts changes of files to use until ctx ends or others are in use.
func (v *views) watch(ctx context.Context, paths []string) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer stop()
		select {
		case <-ctx.Done():
		case <-v.moved:
		}
	}()
	failed := map[int]string{}
	filewatch.Watch{What: "template", Files: paths, Poll: v.poll, Log: v.log}.Run(ctx, func() {
		for i := range v.now {
			err := v.reload(i)
			switch {
			case err == nil:
				delete(failed, i)
			case failed[i] != err.Error(): // said once, not at every poll
				failed[i] = err.Error()
				v.log.Error("the changed template is not used, the one before stays", "page", v.cat.Pages()[i].Name, "err", err)
			}
		}
	})
}
