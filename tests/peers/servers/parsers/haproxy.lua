-- What HAProxy read of a request, as a line of the journal; then a token.

local function hex(text)
  return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

core.register_service("tell", "http", function(applet)
  local headers = {}
  for name, values in pairs(applet.headers) do
    for number = 0, #values do
      headers[#headers + 1] = ('["%s","%s"]'):format(hex(name), hex(values[number]))
    end
  end
  local target = applet.path
  if applet.qs ~= "" then
    target = target .. "?" .. applet.qs
  end
  local journal = assert(io.open(os.getenv("JOURNAL"), "a"))
  journal:write(('{"method":"%s","target":"%s","headers":[%s],"body":"%s"}\n'):format(
    hex(applet.method), hex(target), table.concat(headers, ","), hex(applet:receive())))
  journal:close()
  local asked = applet.headers["x-request-id"]
  local answer = '{"access_token":"at-1","token_type":"Bearer"}'
  applet:set_status(200)
  applet:add_header("content-type", "application/json")
  applet:add_header("content-length", tostring(#answer))
  applet:add_header("x-answer-to", asked and asked[0] or "-")
  applet:start_response()
  applet:send(answer)
end)
