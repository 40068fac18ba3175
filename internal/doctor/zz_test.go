package doctor
import ("testing";"os";"encoding/json";"fmt";"github.com/tracegrad/tracegrad/internal/otlp")
func TestZZ(t *testing.T){ e:=NewExam(); r:=NewReader(e)
 for req,err:=range otlp.Files(os.Getenv("CAP")) { if err!=nil{t.Log(err);continue}; if err:=r.Take(req);err!=nil{t.Fatal(err)} }
 b,_:=json.MarshalIndent(e.Seen(),""," "); fmt.Println(string(b)) }
