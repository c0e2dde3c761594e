-- One channel's words: the path and its own name for the model in a request, the caller's name in the answer. An upstream
-- filter of every channel.
--
-- It runs once per attempt, on request headers that all attempts share: what the last channel wrote is still in them.
-- So everything is set from admit's metadata, nothing is taken over. The body is not shared: each attempt gets the one
-- that admit forwarded, and the offsets count in that.
--
--     metadata "tollgate"    paths = {[channel] = "/v1/…"}
--                            models = {[channel] = the vendor's name, where it is another} and model = the caller's; or absent
--                            model_start, model_end            the name in the body: first byte, and the one after the last;
--                                                              absent where it is in the path alone
--     filter context         channel, dialect                  credential_header, for a channel that has a credential
--     route metadata         held                              a filter nearer the caller waits for the whole of a JSON answer
--
-- All names are JSON strings, with their quotes.
--
-- Where a script fails, Envoy passes the request on as it is: the caller's path with our credential, whatever it costs.
-- So what can fail is done first, under pcall, and what is missing is refused. Such a refusal is final: no next channel.

local function read_plan(handle)
  local context = handle:filterContext()
  local meta = handle:streamInfo():dynamicMetadata():get("tollgate")
  local plan = { path = meta["paths"][context:get("channel")] }
  if meta["models"] then
    plan.model = meta["models"][context:get("channel")]
  end
  if meta["model_end"] then
    plan.before, plan.after = meta["model_start"] + 0, meta["model_end"] + 1
  end
  local credential = context:get("credential_header")
  assert(type(plan.path) == "string", "admit sent no path")
  assert(plan.model == nil or type(plan.model) == "string", "the model's name is not a string")
  assert(not credential or handle:headers():get(credential), "there is no credential")
  return plan
end

function envoy_on_request(handle)
  local ok, plan = pcall(read_plan, handle)
  if not ok then
    handle:logWarn("tollgate: no plan for this channel: " .. tostring(plan))
    handle:respond({ [":status"] = "503" }, "")
    return
  end
  handle:headers():replace(":path", plan.path)
  if not plan.before then
    return
  end
  local body = handle:body()
  if body then
    local all = body:getBytes(0, body:length())
    local model = all:sub(plan.before + 1, plan.after - 1)
    if plan.model then
      model = model:sub(1, 1) == '"' and plan.model or plan.model:sub(2, -2)   -- a form has it without quotes
    end
    body:setBytes(all:sub(1, plan.before) .. model .. all:sub(plan.after))   -- also sets content-length, which may be the last channel's
  end
end

-- Numbers of an answer that no filter of Envoy's can read, for the same metadata that lift_sse writes: in JSON what Envoy's own
-- reader of usage leaves out, and of Gemini, streamed or not, the tokens by modality, which are lists. Where they are told they
-- stand near the end, so the end of what has passed is looked at together with each chunk. In text the quotes have backslashes
-- before them, and what a model gives to a tool comes before the usage: the last one counts.

local UNREAD = {
  cache_hit = '"prompt_cache_hit_tokens"%s*:%s*(%d+)',
  cache_miss = '"prompt_cache_miss_tokens"%s*:%s*(%d+)',
  cache_write_5m = '"ephemeral_5m_input_tokens"%s*:%s*(%d+)',
  cache_write_1h = '"ephemeral_1h_input_tokens"%s*:%s*(%d+)',
  input_audio = '"prompt_tokens_details"%s*:%s*{[^{}]*"audio_tokens"%s*:%s*(%d+)',
  output_audio = '"completion_tokens_details"%s*:%s*{[^{}]*"audio_tokens"%s*:%s*(%d+)',
}
local MODALITIES = {
  ['"promptTokens?Details"%s*:%s*(%b[])'] = { AUDIO = "input_audio", IMAGE = "input_image" },
  ['"cacheTokensDetails"%s*:%s*(%b[])'] = { AUDIO = "cache_audio", IMAGE = "cache_image" },
  ['"candidatesTokensDetails"%s*:%s*(%b[])'] = { AUDIO = "output_audio", IMAGE = "output_image" },
}
local TAIL_BYTES = 2048

-- `told` has what was written already: most of a stream's events repeat it.
local function tell(handle, told, name, number)
  if told[name] ~= number then
    told[name] = number
    handle:streamInfo():dynamicMetadata():set("tollgate.usage", name, number)
  end
end

local function lift_modalities(handle, text, told)
  for pattern, names in pairs(MODALITIES) do
    local last
    for list in text:gmatch(pattern) do
      last = list
    end
    for modality, name in pairs(last and names or {}) do
      local sum = told[name] and 0                      -- one that is not named any more
      for item in last:gmatch("%b{}") do
        if item:match('"modality"%s*:%s*"(%u+)"') == modality then
          sum = (sum or 0) + (item:match('"tokenCount"%s*:%s*(%d+)') or 0)
        end
      end
      if sum then
        tell(handle, told, name, sum)
      end
    end
  end
end

local function lift(handle, text, told, gemini)
  if gemini then
    if text:find('Details"', 1, true) then              -- a picture has none, and is long
      lift_modalities(handle, text, told)
    end
  else
    for name, pattern in pairs(UNREAD) do
      for number in text:gmatch(pattern) do
        tell(handle, told, name, tonumber(number))
      end
    end
  end
  return text:sub(-TAIL_BYTES)
end

-- Imagen's pictures: it leaves out those that it has filtered, for which nobody pays, and does not say how many are left.

local PICTURE = '"mimeType"'

local function count_pictures(handle, chunk, told)
  told.predicts = told.predicts or chunk:find('"predictions"', 1, true)
  local text, count = (told.rest or "") .. chunk, 0
  for _ in text:gmatch(PICTURE) do
    count = count + 1
  end
  told.rest = text:sub(1 - #PICTURE)                    -- too short to be counted once more
  if told.predicts and count > 0 then
    tell(handle, told, "images", (told.images or 0) + count)
  end
end

-- The names in an answer. Nothing waits for it: each chunk is passed on as it comes, so a name that stands in two chunks
-- stays the vendor's. A changed chunk sets content-length to its own, too late to matter; but where a filter still holds the
-- headers it would cut the answer, so there all of it is changed at once, as it is waited for anyway.
--
-- Only as the value of this key is it a name, and only with what a vendor adds to it ("-2026-01-31") is it still that name.
-- Elsewhere in an answer is text, where a quote has a backslash before it; but what a Claude gives to a tool is JSON too, so
-- there the first name counts, which comes before all content.

local function read_names(handle)
  local meta = handle:streamInfo():dynamicMetadata():get("tollgate")
  local vendor = meta and meta["models"] and meta["models"][handle:filterContext():get("channel")]
  if not vendor then
    return nil
  end
  local dialect = handle:filterContext():get("dialect")
  return {
    key = dialect == "gemini" and '"modelVersion"' or '"model"',
    value = "^(%s*:%s*)" .. vendor:sub(1, -2):gsub("%p", "%%%0") .. '[^"\\]*"',
    public = meta["model"],
    once = dialect == "anthropic",
  }
end

-- Put the caller's name in place of the vendor's; true when there can be no other.
local function rename(chunk, names)
  local text = chunk:getBytes(0, chunk:length())
  local parts, rest = {}, 1
  local _, key_end = text:find(names.key, 1, true)
  while key_end do
    local _, value_end, colon = text:find(names.value, key_end + 1)
    if value_end then
      parts[#parts + 1] = text:sub(rest, key_end) .. colon .. names.public
      rest = value_end + 1
      if names.once then
        break
      end
    end
    _, key_end = text:find(names.key, (value_end or key_end) + 1, true)
  end
  if rest > 1 then
    chunk:setBytes(table.concat(parts) .. text:sub(rest))
  end
  return names.once and rest > 1
end

function envoy_on_response(handle)
  if handle:headers():get(":status"):sub(1, 1) ~= "2" then
    return
  end
  local kind = handle:headers():get("content-type") or ""
  local json = kind:find("application/json", 1, true) == 1
  local stream = kind:find("text/event-stream", 1, true) == 1
  local gemini = handle:filterContext():get("dialect") == "gemini"
  local lifts = json or stream and gemini
  local names = (json or stream) and read_names(handle) or nil
  local told, tail = {}, ""
  if json and handle:metadata():get("held") then
    local body = (names or gemini) and handle:body()
    if body then
      lift(handle, body:getBytes(0, body:length()), told, gemini)
    end
    if body and names then
      rename(body, names)
    end
    return
  end
  if names then
    handle:headers():remove("content-length")
  elseif not lifts then
    return
  end
  for chunk in handle:bodyChunks() do
    local text = lifts and chunk:getBytes(0, chunk:length())
    tail = lifts and lift(handle, tail .. text, told, gemini)
    if gemini and json then
      count_pictures(handle, text, told)
    end
    if names and rename(chunk, names) then
      names = nil
    end
    if not names and not lifts then
      return
    end
  end
end
