-- The binding of SQLite: values, errors, and what is closed. The rest is tests/sqlite_test.c's.
local sqlite = require("llm.core").sqlite

describe("llm.core.sqlite", function()
  local path, db

  before_each(function()
    path = os.tmpname()
    os.remove(path)
    db = assert(sqlite.open(path))
  end)

  after_each(function()
    db:close()
    os.remove(path)
  end)

  it("keeps values as they are", function()
    assert.equal(0, db:run "CREATE TABLE t (id INTEGER PRIMARY KEY, value)")
    local values = { 1, 2 ^ 53, -7, 0.25, "a\0\255", "", "多", true, false }
    for i, value in ipairs(values) do
      assert.equal(1, db:run("INSERT INTO t VALUES (?, ?)", i, value))
    end
    assert.equal(1, db:run("INSERT INTO t VALUES (?, ?)", #values + 1, nil))
    local rows = assert(db:rows "SELECT id, value FROM t ORDER BY id")
    values[8], values[9] = 1, 0
    for i, row in ipairs(rows) do assert.same({ i, values[i] }, row) end
    assert.equal(#values + 1, #rows)
    assert.equal(#values + 1, db:run "DELETE FROM t")
    assert.same({}, db:rows "SELECT * FROM t")
  end)

  it("gives nil and a message with the file for what the world refuses", function()
    local none, message = db:run "SELECT missing"
    assert.is_nil(none)
    assert.matches("no such column: missing (" .. path .. ")", message, 1, true)
    none, message = sqlite.open "/nowhere/at/all.db"
    assert.is_nil(none)
    assert.matches("/nowhere/at/all.db", message, 1, true)
    assert.has_error(function() db:run("SELECT ?", {}) end)
    none, message = db:rows("SELECT ?", 1, 2)
    assert.is_nil(none)
    assert.matches("has 1 parameters, not 2", message)
  end)

  it("shares a file between handles, the writes of one seen by the other", function()
    local other = assert(sqlite.open(path))
    assert(db:run "CREATE TABLE t (a)")
    assert(other:run "INSERT INTO t VALUES (7)")
    assert.same({ { 7 } }, db:rows "SELECT a FROM t")
    other:close()
  end)

  it("is closed once and for all", function()
    db:close()
    db:close()
    assert.has_error(function() db:rows "SELECT 1" end)
    assert.has_error(function() db.run({}, "SELECT 1") end)
    db = assert(sqlite.open(path))
  end)
end)
