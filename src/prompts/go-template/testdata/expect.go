// Writes what Go's own text/template says to each template of templates.json, for go-template.test.ts to hold
// ours against:
//
//	go run expect.go < templates.json > expected.json
package main

import (
	"bytes"
	"encoding/json"
	"os"
	"text/template"
)

type result struct {
	Template string `json:"template"`
	Output   string `json:"output"`
	Error    string `json:"error,omitempty"`
}

func main() {
	var input struct {
		Data      map[string]any `json:"data"`
		Templates []string       `json:"templates"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&input); err != nil {
		panic(err)
	}
	functions := template.FuncMap{
		"json": func(v any) string {
			text, _ := json.Marshal(v)
			return string(text)
		},
		"currentDate": func(format ...string) string { return "2026-03-01" },
	}
	results := []result{}
	for _, source := range input.Templates {
		results = append(results, execute(source, input.Data, functions))
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(results); err != nil {
		panic(err)
	}
}

func execute(source string, data any, functions template.FuncMap) result {
	parsed, err := template.New("").Option("missingkey=zero").Funcs(functions).Parse(source)
	if err != nil {
		return result{Template: source, Error: err.Error()}
	}
	var output bytes.Buffer
	if err := parsed.Execute(&output, data); err != nil {
		return result{Template: source, Error: err.Error()}
	}
	return result{Template: source, Output: output.String()}
}
