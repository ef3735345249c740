#!/bin/sh
# Ask a running Verbatim over HTTP with nothing but curl.
#
# Start the app with `python app.py`; then, in another terminal:
#
#     sh examples/ask_with_curl.sh
#     sh examples/ask_with_curl.sh http://127.0.0.1:7860
#
# Gradio answers in two steps: a POST with the arguments of /answer, in their order, gives an event's number; a GET of
# that event gives the result as one line of JSON behind "data: ". What is wrong comes there, too.
set -eu
url=${1:-http://127.0.0.1:7860}
url=${url%/}/gradio_api/call/answer

event=$(curl --silent --show-error --fail "$url" --header 'Content-Type: application/json' --data '{
  "data": ["How tall is the tower?", "The tower is 38 metres tall. It was built in 1847."]
}')
number=$(printf '%s' "$event" | sed 's/.*"event_id" *: *"\([^"]*\)".*/\1/')
curl --silent --show-error --fail --no-buffer "$url/$number" | sed -n 's/^data: //p'
