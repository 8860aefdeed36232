package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// The generator and the chat share the machine with what they measure, so they
// speak just enough HTTP/1.1 themselves: it costs a third of net/http.

var contentLength = []byte("content-length:")

// readHead reads a start line and the header, and returns the line and the
// body's length.
func readHead(r *bufio.Reader) (line []byte, length int, err error) {
	first, err := r.ReadSlice('\n')
	if err != nil {
		return nil, 0, err
	}
	line = append(make([]byte, 0, 64), first...)
	for {
		field, err := r.ReadSlice('\n')
		if err != nil {
			return nil, 0, err
		}
		field = bytes.TrimRight(field, "\r\n")
		if len(field) == 0 {
			return line, length, nil
		}
		if len(field) > len(contentLength) && (field[0] == 'C' || field[0] == 'c') && bytes.EqualFold(field[:len(contentLength)], contentLength) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(field[len(contentLength):]))); err != nil {
				return nil, 0, fmt.Errorf("read a length: %w", err)
			}
		}
	}
}

// readBody reads the body into buf, which grows as needed.
func readBody(r *bufio.Reader, buf []byte, length int) ([]byte, error) {
	if cap(buf) < length {
		buf = make([]byte, length)
	}
	buf = buf[:length]
	_, err := io.ReadFull(r, buf)
	return buf, err
}

var errAnswer = errors.New("no HTTP answer")

// readAnswer reads an answer and forgets its body.
func readAnswer(r *bufio.Reader) (status int, err error) {
	line, length, err := readHead(r)
	if err != nil {
		return 0, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, errAnswer
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, errAnswer
	}
	_, err = r.Discard(length)
	return status, err
}
