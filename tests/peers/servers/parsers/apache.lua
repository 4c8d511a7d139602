-- What Apache read of a request, as a line of the journal; then a token.

local function hex(text)
  return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

function tell(r)
  local headers = {}
  for name, value in pairs(r:headers_in_table()) do
    headers[#headers + 1] = ('["%s","%s"]'):format(hex(name), hex(value))
  end
  local journal = assert(io.open(os.getenv("JOURNAL"), "a"))
  journal:write(('{"method":"%s","target":"%s","headers":[%s],"body":"%s"}\n'):format(
    hex(r.method), hex(r.unparsed_uri), table.concat(headers, ","), hex(r:requestbody() or "")))
  journal:close()
  r.content_type = "application/json"
  r.headers_out["X-Answer-To"] = r.headers_in["X-Request-Id"] or "-"
  r:write('{"access_token":"at-1","token_type":"Bearer"}')
  return apache2.OK
end
