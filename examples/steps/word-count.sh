#!/bin/sh
# A step in the shell: counts the words of a text, and writes its longest words to a file.
# The request is on stdin, on one line. Messages go to stdout, one JSON object a line.
set -eu

text=$(sed -n 's/.*"text": "\(\([^"\\]\|\\.\)*\)".*/\1/p')
echo '{"progress": 0.5, "message": "counting"}'
echo "a line that is no JSON object is a line of the log" >&2

words=$(printf '%s\n' "$text" | wc -w | tr -d ' ')
printf '%s\n' "$text" | tr -cs '[:alnum:]' '\n' | awk '{ print length($0), $0 }' | sort -rn | head -5 > longest.txt

echo "{\"result\": {\"words\": $words}, \"files\": [{\"path\": \"longest.txt\"}]}"
