package kafka

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/IBM/sarama"
)

// errServerProof says that whoever answered does not know the password.
var errServerProof = errors.New("SCRAM: the broker could not prove that it knows the password")

// scramGenerator returns the client for one of the two SCRAM mechanisms, or nil for another mechanism. Each login asks for
// the password anew: the library holds the first one for as long as its client lives.
func scramGenerator(mechanism string, password func() string) func() sarama.SCRAMClient {
	switch mechanism {
	case sarama.SASLTypeSCRAMSHA256:
		return func() sarama.SCRAMClient { return &scram{hash: sha256.New, current: password} }
	case sarama.SASLTypeSCRAMSHA512:
		return func() sarama.SCRAMClient { return &scram{hash: sha512.New, current: password} }
	}
	return nil
}

// scram is the client side of RFC 5802 without channel binding.
type scram struct {
	hash            func() hash.Hash
	current         func() string
	password        string
	nonce           string
	firstBare       string
	serverSignature []byte
	step            int
}

// Begin implements sarama.SCRAMClient.
func (s *scram) Begin(user, _, _ string) error {
	raw := make([]byte, 18)
	if _, err := rand.Read(raw); err != nil {
		return fmt.Errorf("draw a SCRAM nonce: %w", err)
	}
	s.nonce = base64.StdEncoding.EncodeToString(raw)
	s.password = s.current()
	escape := strings.NewReplacer("=", "=3D", ",", "=2C")
	s.firstBare = "n=" + escape.Replace(user) + ",r=" + s.nonce
	return nil
}

// Done implements sarama.SCRAMClient.
func (s *scram) Done() bool { return s.step == 3 }

// Step implements sarama.SCRAMClient: client first, client final, then the check of the server's proof.
func (s *scram) Step(challenge string) (string, error) {
	s.step++
	switch s.step {
	case 1:
		return "n,," + s.firstBare, nil
	case 2:
		return s.final(challenge)
	case 3:
		f := scramFields(challenge)
		if e, bad := f["e"]; bad {
			return "", fmt.Errorf("SCRAM refused by the broker: %s", e)
		}
		sig, err := base64.StdEncoding.DecodeString(f["v"])
		if err != nil || !hmac.Equal(sig, s.serverSignature) {
			return "", errServerProof
		}
		return "", nil
	}
	return "", errors.New("SCRAM: a message after the end of the exchange")
}

func (s *scram) final(challenge string) (string, error) {
	f := scramFields(challenge)
	salt, err := base64.StdEncoding.DecodeString(f["s"])
	if err != nil {
		return "", fmt.Errorf("SCRAM salt: %w", err)
	}
	iterations, err := strconv.Atoi(f["i"])
	if err != nil || iterations < 1 || iterations > 1<<20 {
		return "", fmt.Errorf("SCRAM iteration count %q is out of range", f["i"])
	}
	if !strings.HasPrefix(f["r"], s.nonce) || len(f["r"]) == len(s.nonce) {
		return "", errors.New("SCRAM: the broker did not extend our nonce")
	}
	salted, err := pbkdf2.Key(s.hash, s.password, salt, iterations, s.hash().Size())
	if err != nil {
		return "", fmt.Errorf("SCRAM key derivation: %w", err)
	}
	withoutProof := "c=biws,r=" + f["r"]
	auth := s.firstBare + "," + challenge + "," + withoutProof
	clientKey := s.mac(salted, "Client Key")
	h := s.hash()
	h.Write(clientKey)
	proof := s.mac(h.Sum(nil), auth)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	s.serverSignature = s.mac(s.mac(salted, "Server Key"), auth)
	return withoutProof + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

func (s *scram) mac(key []byte, text string) []byte {
	m := hmac.New(s.hash, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func scramFields(message string) map[string]string {
	out := make(map[string]string)
	for _, part := range strings.Split(message, ",") {
		if k, v, ok := strings.Cut(part, "="); ok {
			out[k] = v
		}
	}
	return out
}
