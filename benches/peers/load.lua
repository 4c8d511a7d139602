-- What the callers do, as a script for wrk.
--
--   wrk -s load.lua URL -- MODE CREDENTIALS SEED
--
-- CREDENTIALS is a file of lines `client<TAB>secret<TAB>wrong secret`. MODE says who calls:
--   one     the first line's client, again and again, its secret in the form body
--   basic   the same client and secret by HTTP Basic
--   random  every request draws one of all lines; one in ten presents the wrong secret instead
--
-- All requests are made before the load starts, so the load generator only picks. At the end one line
-- `result {...}` of JSON tells how it went, with the number of wrong secrets sent, so that the
-- answers can be held against it.

local WRONG_SHARE = 0.1

wrong_sent = 0 -- global: `done` reads it out of each thread

local function lines_of(path)
  local lines = {}
  for line in io.lines(path) do
    local client, secret, wrong = line:match("^([^\t]+)\t([^\t]+)\t([^\t]+)$")
    lines[#lines + 1] = { client = client, secret = secret, wrong = wrong }
  end
  return lines
end

local function by_body(client, secret)
  local form = "grant_type=client_credentials&client_id=%s&client_secret=%s&scope=read"
  return wrk.format("POST", nil, nil, form:format(client, secret))
end

local function base64(text)
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local word = a * 65536 + (b or 0) * 256 + (c or 0)
    for place = 3, 0, -1 do
      local sextet = math.floor(word / 64 ^ place) % 64
      out[#out + 1] = alphabet:sub(sextet + 1, sextet + 1)
    end
    if not c then out[#out] = "=" end
    if not b then out[#out - 1] = "=" end
  end
  return table.concat(out)
end

local function by_basic(client, secret)
  local headers = { Authorization = "Basic " .. base64(client .. ":" .. secret) }
  for name, value in pairs(wrk.headers) do headers[name] = value end
  return wrk.format("POST", nil, headers, "grant_type=client_credentials&scope=read")
end

local function always(made)
  return function() return made end
end

local function drawn(lines)
  local right, wrong = {}, {}
  for i, line in ipairs(lines) do
    right[i] = by_body(line.client, line.secret)
    wrong[i] = by_body(line.client, line.wrong)
  end
  return function()
    local i = math.random(#lines)
    if math.random() < WRONG_SHARE then
      wrong_sent = wrong_sent + 1
      return wrong[i]
    end
    return right[i]
  end
end

function init(arguments)
  local mode, lines = arguments[1], lines_of(arguments[2])
  math.randomseed(tonumber(arguments[3]))
  wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
  wrk.headers["Accept"] = "application/json"
  wrk.headers["User-Agent"] = "relatch-bench/1"
  local first = lines[1]
  if mode == "one" then
    request = always(by_body(first.client, first.secret))
  elseif mode == "basic" then
    request = always(by_basic(first.client, first.secret))
  elseif mode == "random" then
    request = drawn(lines)
  else
    error("no such mode: " .. tostring(mode))
  end
end

local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

function done(summary)
  local wrong = 0
  for _, thread in ipairs(threads) do wrong = wrong + thread:get("wrong_sent") end
  local e = summary.errors
  io.write(("result {\"requests\": %d, \"microseconds\": %d, \"refused\": %d, \"broken\": %d, \"wrong_sent\": %d}\n"):format(
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout, wrong))
end
