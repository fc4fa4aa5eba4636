package roles_test

import (
	"bytes"
	"io"
	"net/http"

	"eshop/pkg/certificate"
	"eshop/pkg/kafka"
)

// scheme is that of the gateways' public URLs.
func (f *fleet) scheme() string {
	if f.ca != nil {
		return "https"
	}
	return "http"
}

// pair is what a role shows: all have the same one, for 127.0.0.1.
func (f *fleet) pair(area, ca string) certificate.Config {
	if f.ca == nil {
		return certificate.Config{}
	}
	return certificate.Config{Area: area, Cert: f.ca.CertFile, Key: f.ca.KeyFile, CA: ca}
}

func (f *fleet) clusterPair() certificate.Config {
	if f.ca == nil {
		return certificate.Config{}
	}
	return f.pair("cluster", f.ca.CAFile)
}

// clusterFlags and publicFlags are the same for processes.
func (f *fleet) clusterFlags() []string {
	if f.ca == nil {
		return nil
	}
	return []string{"--cluster.tls-cert", f.ca.CertFile, "--cluster.tls-key", f.ca.KeyFile, "--cluster.tls-ca", f.ca.CAFile}
}

func (f *fleet) publicFlags() []string {
	if f.ca == nil {
		return nil
	}
	return []string{"--gateway.tls-cert", f.ca.CertFile, "--gateway.tls-key", f.ca.KeyFile}
}

type answer struct {
	status int
	body   string
	header http.Header
}

func (f *fleet) get(gateway, path string, headers ...string) answer {
	return f.do(http.MethodGet, gateway, path, headers...)
}

func (f *fleet) do(method, gateway, path string, headers ...string) answer {
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.scheme()+"://"+gateway+path, nil)
	if err != nil {
		f.t.Errorf("%s %s: %v", method, path, err)
		return answer{}
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := f.client.Do(req)
	if err != nil {
		f.t.Errorf("%s %s: %v", method, path, err)
		return answer{}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Errorf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, string(body), resp.Header}
}

// edit changes the shop's data; nobody is told.
func (f *fleet) edit(method, path, body string) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.shop.URL()+path, bytes.NewBufferString(body))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.client.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode >= 300 {
		f.t.Fatalf("%s %s: %s: %s", method, path, resp.Status, text)
	}
}

// change sends a message the way a console producer does: a bare line, no key.
func (f *fleet) change(line string) {
	f.t.Helper()
	if err := f.producer.Send(f.t.Context(), kafka.Record{Topic: f.topic("change"), Value: []byte(line)}); err != nil {
		f.t.Fatalf("produce %s: %v", line, err)
	}
}
