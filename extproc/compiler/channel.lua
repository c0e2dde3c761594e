-- One channel's words for a request: its path, and its own name for the model. An upstream filter of every channel.
--
-- It runs once per attempt, on request headers that all attempts share: what the last channel wrote is still in them.
-- So everything is set from admit's metadata, nothing is taken over. The body is not shared: each attempt gets the one
-- that admit forwarded, and the offsets count in that.
--
--     metadata "tollgate"    paths = {[channel] = "/v1/…"}     models = {[channel] = "the vendor's name"}, or absent
--                            model_start, model_end            the name in the body: first byte, and the one after the last
--     filter context         channel                           credential_header, for a channel that has a credential
--
-- Where a script fails, Envoy passes the request on as it is: the caller's path with our credential, whatever it costs.
-- So what can fail is done first, under pcall, and what is missing is refused. Such a refusal is final: no next channel.

local function read_plan(handle)
  local context = handle:filterContext()
  local meta = handle:streamInfo():dynamicMetadata():get("tollgate")
  local plan = { path = meta["paths"][context:get("channel")] }
  if meta["models"] then
    plan.model = meta["models"][context:get("channel")]
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
    local model = plan.model or all:sub(plan.before + 1, plan.after - 1)
    body:setBytes(all:sub(1, plan.before) .. model .. all:sub(plan.after))   -- also sets content-length, which may be the last channel's
  end
end
