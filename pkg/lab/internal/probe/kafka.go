package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// KafkaBrokers asks a broker which brokers are alive (Metadata, version 1, no topics): id → host:port told to clients.
func KafkaBrokers(ctx context.Context, addr string) (map[int32]string, error) {
	conn, err := dial(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("ask the kafka broker at %s for metadata: %w", addr, err)
	}
	defer conn.Close()
	if _, err := conn.Write(kafkaMetadataRequest()); err != nil {
		return nil, fmt.Errorf("ask the kafka broker at %s for metadata: %w", addr, err)
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, fmt.Errorf("read metadata of the kafka broker at %s: %w", addr, err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > 16<<20 {
		return nil, fmt.Errorf("read metadata of the kafka broker at %s: the answer claims %d bytes", addr, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(conn, body); err != nil {
		return nil, fmt.Errorf("read metadata of the kafka broker at %s: %w", addr, err)
	}
	brokers, err := parseKafkaMetadata(body)
	if err != nil {
		return nil, fmt.Errorf("read metadata of the kafka broker at %s: %w", addr, err)
	}
	return brokers, nil
}

func kafkaMetadataRequest() []byte {
	const client = "lab"
	var b []byte
	b = binary.BigEndian.AppendUint16(b, 3) // Metadata
	b = binary.BigEndian.AppendUint16(b, 1) // version
	b = binary.BigEndian.AppendUint32(b, 1) // correlation
	b = binary.BigEndian.AppendUint16(b, uint16(len(client)))
	b = append(b, client...)
	b = binary.BigEndian.AppendUint32(b, 0) // no topics
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

var errKafkaShort = errors.New("the answer ends too early")

// parseKafkaMetadata reads the broker list, which comes first, and ignores the rest.
func parseKafkaMetadata(b []byte) (map[int32]string, error) {
	number := func(size int) (int64, error) {
		if len(b) < size {
			return 0, errKafkaShort
		}
		var v int64
		switch size {
		case 2:
			v = int64(int16(binary.BigEndian.Uint16(b)))
		case 4:
			v = int64(int32(binary.BigEndian.Uint32(b)))
		}
		b = b[size:]
		return v, nil
	}
	text := func() (string, error) {
		n, err := number(2)
		if err != nil || n < 0 {
			return "", err
		}
		if int64(len(b)) < n {
			return "", errKafkaShort
		}
		s := string(b[:n])
		b = b[n:]
		return s, nil
	}
	if _, err := number(4); err != nil { // correlation
		return nil, err
	}
	count, err := number(4)
	if err != nil {
		return nil, err
	}
	brokers := map[int32]string{}
	for range count {
		id, err := number(4)
		if err != nil {
			return nil, err
		}
		host, err := text()
		if err != nil {
			return nil, err
		}
		port, err := number(4)
		if err != nil {
			return nil, err
		}
		if _, err := text(); err != nil { // rack
			return nil, err
		}
		brokers[int32(id)] = net.JoinHostPort(host, strconv.FormatInt(port, 10))
	}
	return brokers, nil
}
