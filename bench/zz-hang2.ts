import { spawn } from 'node:child_process'
import { openSync } from 'node:fs'
import { seededRandom } from '../tools/model/corpus/random.ts'
import { wordsOf } from './support/chats.ts'
import { askChat } from './support/ollama.ts'
import { ready, scratchFolder, storeOf } from './support/servers.ts'
const folder = scratchFolder(); const modelsDir=`${folder}/models`
await storeOf(modelsDir,'bench',{layers:8,dim:512,heads:8,ffn:1408,vocab:4096,context:8192,endless:true,type:'Q8_0'})
const log = openSync('/tmp/t-serve.log','w')
const child = spawn(process.execPath,['bin/drover.js','serve'],{env:{...process.env,HOME:folder,DROVER_HOME:folder,DROVER_ENGINE:'embedded',OLLAMA_HOST:'127.0.0.1:39777',OLLAMA_MODELS:modelsDir,OLLAMA_KEEP_ALIVE:'-1',DROVER_DEVICES:'cpu:0,cpu:1',OLLAMA_NUM_PARALLEL:'4',OLLAMA_CONTEXT_LENGTH:'4096'},stdio:['ignore',log,log]})
process.on('exit',()=>child.kill('SIGKILL'))
const origin='http://127.0.0.1:39777'; await ready(`${origin}/api/version`)
const {int}=seededRandom(2)
for(let n=0;n<8;n++){ const t=performance.now(); const r=await Promise.race([Promise.all(['cpu:0','cpu:1'].map(pin=>askChat([{role:'user',content:wordsOf([150,150,150,300,100][n]??40,int)}],{origin,model:'bench',maxTokens:16,headers:{'x-drover-pin':pin}}))),new Promise<undefined>(f=>setTimeout(()=>f(undefined),20000))]); console.log(n,Math.round(performance.now()-t),r?.map(x=>x.instance+' '+x.promptTokens+' '+Math.round(x.ttftMs))??'HUNG'); if(!r) break }
process.exit(0)
