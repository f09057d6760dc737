# On patches of the images in three scales.
_base_ = './rtmdet-r_s_fast_1xb8-36e_dota.py'
data_root = 'data/split_ms_dota/'

train_dataloader = {'dataset': {'data_root': data_root}}
val_dataloader = {'dataset': {'data_root': data_root}}
test_dataloader = val_dataloader
