#!/bin/sh
# Tells the story with curl, as one would try the API out: sender URL KEY.
set -eu
url=$1 key=$2
send() { curl --silent --show-error --fail-with-body --user "$key:" --data "$2" "$url/v1/$1"; }
send identify '{"userId": "ada", "traits": {"email": "ada@example.com", "name": "Ada Löve 🎉"}}'
send track '{"userId": "ada", "event": "Order Completed", "properties": {"order_id": "1", "revenue": 12.5}}'
send track '{"userId": 42, "event": "Numbered", "properties": {"url": "https://example.com/?q=\"x\":1"}}'
send track '{"anonymousId": "device-1", "event": "Browsed"}'
send page '{"userId": "ada", "name": "curl", "properties": {"url": "https://example.com/docs"}}'
send screen '{"userId": "ada", "name": "Start"}'
send group '{"userId": "ada", "groupId": "acme", "traits": {"plan": "gold"}}'
curl --silent --show-error --fail-with-body "$url/v1/alias" \
    --data '{"writeKey": "'"$key"'", "userId": "ada", "previousId": "device-1"}'
