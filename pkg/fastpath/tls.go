package fastpath

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// TLS is between the network and the connection: the listener below gives *tls.Conn.
// Such a connection is read and answered the same way, with three differences: its
// first Read makes the handshake; reads are those of tls.Conn; and what is written
// in one call is copied together first, for to encrypt it is to copy it anyway, and
// each write of a tls.Conn is a record and a call of its own.

// record is what a record of TLS holds at most, in bytes (RFC 8446, 5.1).
const record = 16 << 10

// shake makes the handshake. The server, which is about to read the first request,
// has set a deadline for it: this bounds all of the handshake, too, writes
// included, so that who says nothing, or takes nothing, is cut off like one that
// sends no request. When it fails there is nobody to be told.
func (c *conn) shake() error {
	err := c.SetWriteDeadline(c.readUntil)
	if err == nil {
		err = c.tls.Handshake()
	}
	if err == nil {
		return c.SetWriteDeadline(time.Time{})
	}
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil && plainText(header.RecordHeader) {
		_, _ = io.WriteString(header.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"+
			"This port speaks TLS: ask with https.\n")
	}
	if failed := c.listener.cfg.HandshakeFailed; failed != nil {
		failed(c.remote, err)
	}
	return err
}

// plainText reports whether something begins like the requests of HTTP.
func plainText(head [5]byte) bool {
	for _, b := range head {
		if b != ' ' && b != '/' && (b < 'A' || b > 'Z') {
			return false
		}
	}
	return true
}

// readTLS is for a connection whose handshake may be still to come.
func (c *conn) readTLS(b []byte) (int, error) {
	if !c.shaken {
		c.shaken = true
		if c.shake() != nil {
			return 0, io.EOF
		}
	}
	n, err := c.tls.Read(b)
	var timeout net.Error
	if n == 0 && err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
		// Ended with or without a word: by most clients without, though TLS wants one.
		err = io.EOF
	}
	return n, err
}

// writeRecords writes all that is to be written, in as few records as that needs.
func (a *Answer) writeRecords(w io.Writer) error {
	if a.record == nil {
		a.record = make([]byte, 0, record)
	}
	b := a.record[:0]
	for _, part := range a.out {
		for len(part) > 0 {
			if len(b) == 0 && len(part) >= record {
				n := len(part) - len(part)%record
				if _, err := w.Write(part[:n]); err != nil {
					return err
				}
				part = part[n:]
				continue
			}
			n := copy(b[len(b):cap(b)], part)
			b, part = b[:len(b)+n], part[n:]
			if len(b) == cap(b) {
				if _, err := w.Write(b); err != nil {
					return err
				}
				b = b[:0]
			}
		}
	}
	if len(b) == 0 {
		return nil
	}
	_, err := w.Write(b)
	return err
}
