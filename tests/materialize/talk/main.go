// Statements from standard input, one a line, through pgx or lib/pq; see talkers.py.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"
)

var ctx = context.Background()

type talker interface {
	run(sql string, args []any) (string, error)
	close()
}

type viaPgx struct{ connection *pgx.Conn }

func (t viaPgx) close() { t.connection.Close(ctx) }

func (t viaPgx) run(sql string, args []any) (string, error) {
	rows, err := t.connection.Query(ctx, sql, args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return "", err
		}
		lines = append(lines, join(values))
	}
	names := ""
	for _, field := range rows.FieldDescriptions() {
		names += "," + field.Name
	}
	return names + "|" + strings.Join(lines, "|"), rows.Err()
}

type viaPq struct {
	database   *sql.DB
	connection *sql.Conn
}

func (t viaPq) close() {
	t.connection.Close()
	t.database.Close()
}

func (t viaPq) run(text string, args []any) (string, error) {
	rows, err := t.connection.QueryContext(ctx, text, args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	names, _ := rows.Columns()
	var lines []string
	for rows.Next() {
		values := make([]any, len(names))
		places := make([]any, len(names))
		for i := range values {
			places[i] = &values[i]
		}
		if err := rows.Scan(places...); err != nil {
			return "", err
		}
		lines = append(lines, join(values))
	}
	return "," + strings.Join(names, ",") + "|" + strings.Join(lines, "|"), rows.Err()
}

func join(values []any) string {
	var texts []string
	for _, value := range values {
		if bytes, ok := value.([]byte); ok {
			value = string(bytes)
		}
		texts = append(texts, fmt.Sprint(value))
	}
	return strings.Join(texts, ",")
}

func open(driver, port, schema string) (talker, error) {
	url := fmt.Sprintf("host=127.0.0.1 port=%s user=postgres dbname=materialize sslmode=disable search_path=%s,public", port, schema)
	if driver == "pgx" {
		connection, err := pgx.Connect(ctx, url)
		return viaPgx{connection}, err
	}
	database, err := sql.Open("postgres", url)
	if err != nil {
		return nil, err
	}
	connection, err := database.Conn(ctx)
	return viaPq{database, connection}, err
}

func code(err error) string {
	var fromPgx *pgconn.PgError
	var fromPq *pq.Error
	if errors.As(err, &fromPgx) {
		return fromPgx.Code
	}
	if errors.As(err, &fromPq) {
		return string(fromPq.Code)
	}
	return err.Error()
}

func main() {
	var open_ talker
	var err error
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		parts := strings.Split(input.Text(), "\t")
		if parts[0] == "open" {
			if open_ != nil {
				open_.close()
			}
			open_, err = open(parts[1], parts[2], parts[3])
			if err != nil {
				panic(err)
			}
			continue
		}
		var args []any
		for _, part := range parts[1:] {
			if number, err := strconv.ParseInt(part, 10, 64); err == nil {
				args = append(args, number)
			} else {
				args = append(args, part)
			}
		}
		answer, err := open_.run(parts[0], args)
		if err != nil {
			answer = "error " + code(err)
		}
		fmt.Println(answer)
	}
}
